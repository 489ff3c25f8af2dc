/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting: for a message, for a while, not at all, and what it costs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

#define MS UINT64_C(1000000)
#define LONG_NS (5000 * MS)

static int wait_near(struct rig *rig, uint64_t timeout_ns)
{
	struct shunt_err err = { "" };
	int ret;

	net_at(NEAR);
	ret = shunt_transport_poll(rig->end[NEAR].transport, timeout_ns, &err);
	if (ret < 0 && ret != -EINTR)
		fail_msg("%s", err.message);
	return ret;
}

/* What is still under way from the first messages is no answer to a wait. */
static void begin(struct rig *rig, const char *options)
{
	struct shunt_message message;

	rig->length = rig_equal;
	rig->base = 100;
	rig_begin(rig, options);
	rig_pass(rig, FAR, 0, 16);
	while (rig_recv(rig, NEAR, &message, 1, 20))
		fail_msg("a message that nobody has sent");
}

static void for_nothing(struct rig *rig)
{
	uint64_t before;

	begin(rig, "wait=adaptive");
	assert_int_equal(wait_near(rig, 0), 0);
	before = shunt_now_ns();
	while (wait_near(rig, 50 * MS))
		if (shunt_now_ns() > before + LONG_NS)
			fail_msg("it wakes for nothing, on and on");
	assert_true(shunt_now_ns() >= before + 50 * MS);
}

static void for_a_message(struct rig *rig)
{
	static const char *const how[] = { "wait=adaptive", "wait=poll", "wait=spin" };
	uint32_t number;
	size_t i;

	for (i = 0; i < sizeof(how) / sizeof(*how); i++) {
		begin(rig, how[i]);
		for (number = 0; number < 50; number++) {
			rig_say(rig, FAR, number, 1);
			assert_int_equal(wait_near(rig, LONG_NS), 1);
			/* and it is still there */
			assert_int_equal(wait_near(rig, 0), 1);
			rig_hear(rig, NEAR, number, 1);
		}
		rig_close(rig, NEAR);
		rig_close(rig, FAR);
	}
}

/* --- woken from its sleep ------------------------------------------------------------------- */

struct later {
	char uri[RIG_URI];
	pthread_t thread;
};

/* Does the process's first thread sleep? */
static bool sleeps(void)
{
	char state = 0;
	FILE *file = fopen("/proc/self/stat", "r");

	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == 'S';
}

static bool say_77(struct shunt_transport *far)
{
	uint8_t bytes[100];
	shunt_peer peer;

	if (shunt_peer_open(far, &peer, "192.0.2.1:7000", NULL))
		return false;
	while (!sleeps())
		sched_yield();
	rig_fill(bytes, sizeof(bytes), 77);
	while (!shunt_send(far, peer, rig_channel(77), bytes, sizeof(bytes)))
		;
	return !shunt_transport_kick(far, NULL);
}

/* An end in a thread of its own speaks when the first one sleeps. */
static void *speak(void *arg)
{
	struct shunt_transport *far;
	struct later *later = arg;
	bool said;

	if (setns(net_fd(FAR), CLONE_NEWNET) ||
	    shunt_transport_open(&far, later->uri, NULL))
		return NULL;
	said = say_77(far);
	shunt_transport_close(far);
	return said ? later : NULL;
}

static void out_of_its_sleep(struct rig *rig)
{
	struct later later;
	struct shunt_message message;
	uint64_t until_ns;
	void *said;

	rig->length = rig_equal;
	rig->base = 100;
	rig_open(rig, NEAR, "wait=poll");
	rig_uri(rig, FAR, net_address[FAR], RIG_PORT, "", later.uri);
	assert_int_equal(pthread_create(&later.thread, NULL, speak, &later), 0);
	until_ns = shunt_now_ns() + 6 * LONG_NS;
	do {
		if (shunt_now_ns() > until_ns)
			fail_msg("it was not woken, or there was no message");
		(void)wait_near(rig, LONG_NS);
	} while (!shunt_recv(rig->end[NEAR].transport, &message, 1));
	assert_int_equal(pthread_join(later.thread, &said), 0);
	assert_non_null(said);
	rig_check(rig, &message, 77);
	shunt_release(rig->end[NEAR].transport, &message, 1);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void by_a_signal(struct rig *rig)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const struct itimerspec soon = { .it_value.tv_nsec = 50 * MS,
					 .it_interval.tv_nsec = 50 * MS };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGUSR1 };
	uint64_t before;
	timer_t timer;
	int ret;

	begin(rig, "wait=poll");
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
	before = shunt_now_ns();
	do {
		ret = wait_near(rig, LONG_NS);
	} while (ret > 0 && shunt_now_ns() < before + LONG_NS);
	assert_int_equal(timer_delete(timer), 0);
	assert_int_equal(ret, -EINTR);
	rig_pass(rig, NEAR, 0, 10);
	rig_pass(rig, FAR, 0, 10);
}

/* --- what it costs --------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
	struct timespec time;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A quarter of a core would be a spin that somebody has forgotten. */
static void without_a_core(struct rig *rig)
{
	uint64_t begun, before;

	begin(rig, "wait=poll");
	begun = shunt_now_ns();
	before = cpu_ns();
	while (shunt_now_ns() < begun + 400 * MS)
		assert_in_range(wait_near(rig, 400 * MS), 0, 1);
	assert_in_range(cpu_ns() - before, 0, (shunt_now_ns() - begun) / 4);
}

/* What it would have others look at wakes them. */
static void by_others(struct rig *rig)
{
	struct pollfd fds[SHUNT_TRANSPORT_FDS];
	unsigned int n;

	begin(rig, "wait=poll");
	net_at(NEAR);
	n = shunt_transport_wait(rig->end[NEAR].transport, fds, SHUNT_TRANSPORT_FDS);
	assert_in_range(n, 1, SHUNT_TRANSPORT_FDS);
	assert_int_equal(rig_offer(rig, FAR, 0), 1);
	net_at(FAR);
	assert_int_equal(shunt_transport_kick(rig->end[FAR].transport, NULL), 0);
	assert_in_range(poll(fds, n, RIG_WAIT_MS), 1, (int)n);
	rig_hear(rig, NEAR, 0, 1);
}

#define BLOCKS SHUNT_TRANSPORT_BLOCKS

const struct rig_test rig_tests_wait[] = {
	{ "a wait for nothing ends in time", for_nothing },
	{ "a wait ends when a message is there", for_a_message },
	{ "a message ends a sleep", out_of_its_sleep, BLOCKS },
	{ "a signal ends a sleep", by_a_signal, BLOCKS },
	{ "a sleep takes no CPU", without_a_core, BLOCKS },
	{ "what it waits for wakes others that wait for it", by_others, BLOCKS },
	{ NULL },
};
