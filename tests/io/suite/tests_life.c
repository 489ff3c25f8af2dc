/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing, refusals, and an interface that goes away. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/suite/tests.h"
#include "user/base/clock.h"

#define OPENS 100
#define DEADLINE_NS UINT64_C(5000000000)

/* Allocators keep some; a leak of a page an open is seen. */
#define SLACK_BYTES (300l << 10)

static uint32_t both(const struct rig *rig)
{
	return rig->row->can & (SHUNT_PORT_RX | SHUNT_PORT_TX);
}

/* How the row is opened when it is not said for what. */
static uint32_t some_way(const struct rig *rig)
{
	return rig->row->can & SHUNT_PORT_RX ? SHUNT_PORT_RX : SHUNT_PORT_TX;
}

static unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Memory of the process, files that it maps included. */
static long memory_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long total, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &total, &resident), 2);
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

static void opened_and_closed(struct rig *rig)
{
	unsigned int files = 0, i;
	long memory = 0;

	if (rig->row->offer_first)
		rig_offer(rig, 0, 1);
	for (i = 0; i < OPENS; i++) {
		/* the first ones fill what is kept for the next */
		if (i == OPENS / 10) {
			files = open_files();
			memory = memory_bytes();
		}
		rig_open(rig, some_way(rig), "", NULL);
		rig_close(rig);
	}
	assert_int_equal(open_files(), files);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(memory_bytes(), 0,
			memory + SLACK_BYTES + (long)rig->row->forgets * OPENS);
#else
	(void)memory; /* freed memory is kept aside there */
#endif
}

/* What is still lent, or under way, when a port is closed is void, and no harm. */
static void closed_with_frames_outstanding(struct rig *rig)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int files = 0;

	for (unsigned int i = 0; i < 10; i++) {
		if (i == 1)
			files = open_files();
		if (rig->row->offer_first)
			rig_offer(rig, 0, 64);
		rig_open(rig, some_way(rig), "", NULL);
		if (rig->row->can & SHUNT_PORT_RX) {
			if (!rig->row->offer_first)
				rig_offer(rig, 0, 64);
			assert_in_range(rig_rx(rig, frames, 32, RIG_WAIT_MS), 1, 32);
		}
		if (rig->port->caps & SHUNT_PORT_TX) {
			unsigned int n = 0;

			while (n < 32 &&
			       rig_make(rig, rig->port->pool, n, frames + n, 1))
				n++;
			shunt_frames_put(frames,
					 n - shunt_port_tx(rig->port, frames, n));
		}
		rig_close(rig);
	}
	assert_int_equal(open_files(), files);
}

/* --- refusals ----------------------------------------------------------------------------- */

static void other_direction_is_refused(struct rig *rig)
{
	uint32_t way = some_way(rig),
		 other = both(rig) ^ (SHUNT_PORT_RX | SHUNT_PORT_TX);
	struct shunt_frame frames[4];
	struct shunt_err err = { "" };

	if (rig->row->offer_first)
		rig_offer(rig, 0, 1);
	rig_open(rig, way, "", NULL);
	other = ~rig->port->caps & (SHUNT_PORT_RX | SHUNT_PORT_TX);
	assert_int_not_equal(other, 0);
	assert_int_equal(shunt_port_need(rig->port, other, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.message, rig->port->name));
	if (other & SHUNT_PORT_RX) {
		assert_int_equal(shunt_port_rx(rig->port, frames, 4), 0);
		return;
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(rig_make(rig, &rig->memory->pool, i, frames + i, 1),
				 1);
	assert_int_equal(shunt_port_tx(rig->port, frames, 4), 4);
	assert_int_equal(rig_stats(rig).tx_refused, 4);
	assert_int_equal(rig_stats(rig).tx_packets, 0);
	assert_int_equal(shunt_memory_free_frames(rig->memory), rig->memory->frames);
}

static void refused(struct rig *rig, const char *options, const char *word)
{
	struct shunt_err err = { "" };
	unsigned int files = open_files();
	char text[512];
	int ret;

	rig->row->spec(rig, some_way(rig), text, sizeof(text) - strlen(options));
	strcat(text, options);
	ret = shunt_port_open(&rig->port, text, NULL, &err);
	if (rig->port || ret >= 0 || !strstr(err.message, word))
		fail_msg("%s: %d, \"%s\" does not say \"%s\"", text, ret, err.message,
			 word);
	assert_int_equal(open_files(), files);
}

static void bad_options_are_refused(struct rig *rig)
{
	char name[64];

	if (rig->row->offer_first)
		rig_offer(rig, 0, 1);
	refused(rig, ",no-such-option=1", "no-such-option");
	for (const char *const *bad = rig->row->bad; *bad; bad++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*bad + 1, "="),
			 *bad + 1);
		refused(rig, *bad, name);
	}
}

static void described(struct rig *rig)
{
	cJSON *json, *list, *name;
	unsigned int n = 0;

	if (rig->row->offer_first)
		rig_offer(rig, 0, 1);
	rig_open(rig, some_way(rig), "", NULL);
	json = shunt_port_describe(rig->port);
	assert_non_null(json);
	name = cJSON_GetObjectItem(json, "port");
	assert_true(cJSON_IsString(name));
	assert_ptr_equal(strstr(name->valuestring, rig->port->ops->scheme),
			 name->valuestring);
	list = cJSON_GetObjectItem(json, "capabilities");
	cJSON_ArrayForEach(name, list) n++;
	assert_int_equal(n, __builtin_popcount(rig->port->caps));
	assert_in_range(n, 1, 32);
	cJSON_Delete(json);
}

/* --- the interface ------------------------------------------------------------------------- */

/* kick() says so before long; returns what it said. */
static int fails(struct rig *rig, struct shunt_err *err)
{
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;
	struct shunt_frame frames[SHUNT_BURST];
	int ret = 0;

	while (!ret && shunt_now_ns() < deadline) {
		shunt_frames_put(frames, shunt_port_rx(rig->port, frames, SHUNT_BURST));
		ret = shunt_port_kick(rig->port, err);
	}
	return ret;
}

static void an_interface_that_goes_down_is_told(struct rig *rig)
{
	struct shunt_err err = { "" };
	uint64_t deadline;

	rig_open(rig, both(rig), "", NULL);
	if (rig->row->can & SHUNT_PORT_RX) {
		rig_offer(rig, 0, 16);
		rig_receive(rig, 0, 16);
	}
	wire_set_up(WIRE_NEAR, 0);
	assert_int_equal(fails(rig, &err), -ENETDOWN);
	assert_non_null(strstr(err.message, WIRE_NEAR));
	/* and up again, it goes on */
	wire_set_up(WIRE_NEAR, 1);
	deadline = shunt_now_ns() + DEADLINE_NS;
	while (shunt_port_kick(rig->port, &err) && shunt_now_ns() < deadline)
		;
	if (rig->row->can & SHUNT_PORT_RX) {
		rig_offer(rig, 0, 16);
		rig_receive(rig, 0, 16);
	}
	if (rig->row->can & SHUNT_PORT_TX) {
		rig_transmit(rig, rig->port->pool, 0, 16);
		rig_collect(rig, 0, 16);
	}
}

static void an_interface_that_vanishes_is_told(struct rig *rig)
{
	struct shunt_err err = { "" };

	rig_open(rig, both(rig), "", NULL);
	wire_delete(WIRE_NEAR);
	assert_int_equal(fails(rig, &err), -ENODEV);
	assert_non_null(strstr(err.message, WIRE_NEAR));
}

const struct rig_test rig_tests_life[] = {
	{ "opened and closed a hundred times, it leaks nothing", opened_and_closed, 0 },
	{ "it is closed with frames outstanding", closed_with_frames_outstanding, 0 },
	{ "the direction that it lacks is refused", other_direction_is_refused, 0 },
	{ "bad options are refused with a sentence", bad_options_are_refused, 0 },
	{ "it describes itself", described, 0 },
	{ "an interface that goes down is told", an_interface_that_goes_down_is_told,
	  0 },
	{ "an interface that vanishes is told", an_interface_that_vanishes_is_told, 0 },
	{ NULL },
};
