/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/apps/bench/payload.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define OPEN_NS 15000000000u /* DPDK takes seconds to begin, and others some tenths */
#define END_NS 3000000000u   /* closing takes time as well */

uint64_t shunt_bench_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t shunt_bench_cpu_of_ns(int pid)
{
	struct timespec ts;
	clockid_t clock;

	if (!pid || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct shunt_bench_link *shunt_bench_link_open(void)
{
	struct shunt_bench_link *link =
		mmap(NULL, sizeof(*link), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return link == MAP_FAILED ? NULL : link;
}

void shunt_bench_link_close(struct shunt_bench_link *link)
{
	if (link)
		munmap(link, sizeof(*link));
}

/* ^C goes to all processes of the terminal: the command hears it, and says stop. */
static void become_end(int space, int core, pid_t parent)
{
	int null;
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (space >= 0 && setns(space, CLONE_NEWNET))
		_exit(1);
	CPU_ZERO(&set);
	if (core >= 0) {
		CPU_SET(core, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	/* libraries talk; what matters is in the link */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
}

int shunt_bench_fork(int space, int core)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		become_end(space, core, parent);
	return pid;
}

/* How long all of it may take before something is wrong that the ends do not notice. */
static uint64_t longest(const struct shunt_bench_link *link)
{
	uint64_t ns = OPEN_NS;
	uint32_t i;

	for (i = 0; i < link->cases; i++)
		ns += 3 * link->todo[i].duration_ns + 2 * SHUNT_BENCH_STALL_NS;
	return ns;
}

/* Waits for the process's end: 1; 0: the time is over; -EINTR: ^C. */
static int await(pid_t pid, pid_t other, const struct shunt_stop *stop,
		 uint64_t deadline_ns)
{
	_fd_ int one = pidfd_open(pid, 0);
	_fd_ int two = other > 0 ? pidfd_open(other, 0) : -1;
	struct pollfd fds[] = {
		{ .fd = one, .events = POLLIN },
		{ .fd = two, .events = POLLIN },
		{ .fd = stop ? stop->event : -1, .events = POLLIN },
	};

	for (;;) {
		uint64_t now = shunt_now_ns();

		if (now >= deadline_ns)
			return 0;
		if (poll(fds, 3, (int)((deadline_ns - now) / 1000000) + 1) < 0 &&
		    errno != EINTR)
			return 0;
		if (stop && shunt_stop_wanted())
			return -EINTR;
		if (fds[0].revents || fds[1].revents)
			return 1;
	}
}

/* What its end tells that it could not say itself. */
static void bury(pid_t pid, char words[SHUNT_BENCH_WORDS], const char *who)
{
	int status = 0;

	if (waitpid(pid, &status, 0) != pid || *words)
		return;
	if (WIFSIGNALED(status))
		snprintf(words, SHUNT_BENCH_WORDS, "the %s's process was ended by %s",
			 who, strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(words, SHUNT_BENCH_WORDS,
			 "the %s's process ended with status %d", who,
			 WEXITSTATUS(status));
}

static void put_down(pid_t pid, char words[SHUNT_BENCH_WORDS], const char *who)
{
	if (pid <= 0)
		return;
	if (await(pid, 0, NULL, shunt_now_ns() + END_NS) <= 0) {
		kill(pid, SIGKILL);
		if (!*words)
			snprintf(words, SHUNT_BENCH_WORDS,
				 "the %s did not end, and was killed", who);
	}
	bury(pid, words, who);
}

static pid_t start(const struct shunt_bench_job *job, struct shunt_bench_link *link,
		   bool serves)
{
	int space = !job->stage ? -1 : serves ? job->stage->server : job->stage->client;
	int pid = shunt_bench_fork(space, serves ? job->server_core : job->client_core);

	if (pid)
		return pid;
	shunt_bench_pattern_make();
	if (serves) {
		link->server_pid = getpid();
		job->serve(link, job);
	} else {
		job->ask(link, job);
	}
	_exit(0);
}

int shunt_bench_pair(const struct shunt_bench_job *job, struct shunt_bench_link *link,
		     const struct shunt_stop *stop, struct shunt_err *err)
{
	pid_t server = 0, client;
	int ret;

	atomic_store(&link->ready, 0);
	atomic_store(&link->stop, 0);
	link->server_pid = 0;
	*link->server_error = *link->client_error = '\0';
	snprintf(link->address, sizeof(link->address), "%s", job->peer);
	if (!*job->peer) {
		server = start(job, link, true);
		if (server < 0)
			return shunt_fail_errno(err, server, "bench: start a server");
	} else {
		atomic_store(&link->ready, 1);
	}
	client = start(job, link, false);
	ret = client < 0 ? client
			 : await(client, server, stop, shunt_now_ns() + longest(link));
	/* pairs with the loads of both ends: relaxed, as nothing else depends on it */
	atomic_store_explicit(&link->stop, 1, memory_order_relaxed);
	put_down(client, link->client_error, "client");
	put_down(server, link->server_error, "server");
	if (client < 0)
		return shunt_fail_errno(err, client, "bench: start a client");
	return ret == -EINTR ? shunt_fail(err, -EINTR, "bench: stopped") : 0;
}
