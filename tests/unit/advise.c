/* SPDX-License-Identifier: BSD-2-Clause */
/* Advice: facts and measurements in, a choice for each goal out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "user/apps/advise.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* Facts by their names: "afxdp" is there, "-dpdk" is not, "?zero-copy" is not known. */
static void set_facts(struct shunt_advise_facts *facts, const char *words)
{
	char text[256], *word, *rest = text;

	*facts = (struct shunt_advise_facts){ .n = 0 };
	snprintf(text, sizeof(text), "%s", words);
	while ((word = strsep(&rest, " "))) {
		struct shunt_advise_fact *fact = &facts->fact[facts->n++];

		fact->answer = *word == '-'   ? SHUNT_ADVISE_NO
			       : *word == '?' ? SHUNT_ADVISE_UNKNOWN
					      : SHUNT_ADVISE_YES;
		word += *word == '-' || *word == '?';
		snprintf(fact->name, sizeof(fact->name), "%s", word);
	}
}

/* Rows "backend kind batch wait value", with ";" between them. */
static cJSON *set_measured(const char *rows)
{
	cJSON *measured = cJSON_CreateObject(), *list;
	char text[512], *one, *rest = text;

	cJSON_AddStringToObject(measured, "schema", "shunt.bench.transports/1");
	cJSON_AddStringToObject(measured, "kernel", "6.1");
	list = cJSON_AddArrayToObject(measured, "rows");
	snprintf(text, sizeof(text), "%s", rows);
	while (rows && (one = strsep(&rest, ";"))) {
		char backend[20], kind[20], wait[20];
		cJSON *row = cJSON_CreateObject(), *stat;
		double value;
		int batch;

		assert_int_equal(sscanf(one, " %19s %19s %d %19s %lf", backend, kind,
					&batch, wait, &value),
				 5);
		cJSON_AddStringToObject(row, "contender", backend);
		cJSON_AddStringToObject(row, "case", kind);
		cJSON_AddStringToObject(row, "wait", wait);
		cJSON_AddNumberToObject(row, "size", 64);
		cJSON_AddNumberToObject(row, "batch", batch);
		cJSON_AddNumberToObject(row, "peers", 1);
		stat = strcmp(kind, "one-way") != 0
			       ? cJSON_AddObjectToObject(row, "latency_ns")
			       : row;
		stat = cJSON_AddObjectToObject(stat, !strcmp(kind, "one-way")
							     ? "messages_per_s"
						     : !strcmp(kind, "open-loop")
							     ? "p99"
							     : "p50");
		cJSON_AddNumberToObject(stat, "median", value);
		cJSON_AddItemToArray(list, row);
	}
	return measured;
}

#define ALL "epoll uring raw afxdp dpdk ringbuf kqueue "
#define NIC "nic-xdp-native zero-copy physical-nic spare-cores"
#define BARE "?nic-xdp-native ?zero-copy ?physical-nic spare-cores"

static const struct {
	const char *name;
	const char *facts, *measured, *goal;
	const char *backend, *wait; /* NULL: nothing serves */
} rows[] = {
	{ "throughput: DPDK where it has a NIC and cores", ALL NIC, NULL, "throughput",
	  "dpdk", "spin" },
	{ "throughput: without DPDK, AF_XDP", "epoll uring afxdp -dpdk " NIC, NULL,
	  "throughput", "afxdp", "spin" },
	{ "throughput: DPDK has no use for a veth",
	  ALL "nic-xdp-native -zero-copy -physical-nic spare-cores", NULL, "throughput",
	  "afxdp", "spin" },
	{ "throughput: of an interface that nobody named nothing is assumed", ALL BARE,
	  NULL, "throughput", "uring", "spin" },
	{ "throughput: who has one core does not spin",
	  "epoll -uring -nic-xdp-native -zero-copy -spare-cores", NULL, "throughput",
	  "epoll", "adaptive" },
	{ "throughput: numbers count more than the order", ALL NIC,
	  "dpdk one-way 64 spin 1e6; afxdp one-way 64 spin 2e6", "throughput", "afxdp",
	  "spin" },
	{ "throughput: a tenth is no difference", ALL NIC,
	  "dpdk one-way 64 spin 1e6; afxdp one-way 64 spin 1.05e6", "throughput",
	  "dpdk", "spin" },
	{ "throughput: what is fast but not here is not chosen",
	  "epoll uring -afxdp " BARE,
	  "afxdp one-way 64 spin 9e6; epoll one-way 64 spin 3e5", "throughput", "epoll",
	  "spin" },
	{ "latency: AF_XDP on a NIC with native XDP", ALL NIC, NULL, "latency", "afxdp",
	  "spin" },
	{ "latency: raw frames without", ALL BARE, NULL, "latency", "raw", "spin" },
	{ "latency: the shortest that was measured", ALL BARE,
	  "epoll round-trip 1 spin 8000; raw round-trip 1 spin 3100; "
	  "ringbuf round-trip 1 spin 2600",
	  "latency", "ringbuf", "spin" },
	{ "latency: the wait that was measured is the one told", ALL BARE,
	  "epoll round-trip 1 adaptive 9000", "latency", "epoll", "adaptive" },
	{ "latency: a spinning row is no advice for one core", "epoll -spare-cores",
	  "epoll round-trip 1 spin 8000", "latency", "epoll", "adaptive" },
	{ "custom packets: AF_XDP, or raw", ALL NIC, NULL, "custom-packets", "afxdp",
	  "adaptive" },
	{ "custom packets: raw needs no driver's help", ALL BARE, NULL,
	  "custom-packets", "raw", "adaptive" },
	{ "custom packets: sockets have none", "epoll uring " BARE, NULL,
	  "custom-packets", NULL, NULL },
	{ "portable: kqueue", ALL NIC, NULL, "portable", "kqueue", "adaptive" },
	{ "portable: code that runs elsewhere is the goal, not speed", ALL NIC,
	  "kqueue round-trip 1 adaptive 9000; epoll round-trip 1 adaptive 5000",
	  "portable", "kqueue", "adaptive" },
	{ "portable: epoll where there is no kqueue", "epoll -kqueue " NIC, NULL,
	  "portable", "epoll", "adaptive" },
	{ "cloud: native XDP of a virtual NIC", ALL NIC, NULL, "cloud", "afxdp",
	  "adaptive" },
	{ "cloud: containers forbid io_uring", "epoll -uring " BARE, NULL, "cloud",
	  "epoll", "adaptive" },
	{ "cloud: by the tail of an open loop", ALL BARE,
	  "uring open-loop 1 adaptive 90000; epoll open-loop 1 adaptive 60000", "cloud",
	  "epoll", "adaptive" },
	{ "cloud: round trips in a closed loop say nothing of it", ALL BARE,
	  "uring round-trip 1 adaptive 90000; epoll round-trip 1 adaptive 60000",
	  "cloud", "uring", "adaptive" },
};

static const cJSON *first_goal(const cJSON *reply)
{
	return cJSON_GetArrayItem(shunt_json_get(reply, "goals"), 0);
}

static void each_goal_is_served_by_what_fits(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_json_ cJSON *probe = cJSON_CreateObject();
		_json_ cJSON *measured =
			rows[i].measured ? set_measured(rows[i].measured) : NULL;
		_json_ cJSON *reply = NULL;
		struct shunt_advise_facts facts;
		const cJSON *goal, *choose;

		print_message("%s\n", rows[i].name);
		set_facts(&facts, rows[i].facts);
		reply = shunt_advise(probe, &facts, measured, "file", rows[i].goal);
		goal = first_goal(reply);
		choose = shunt_json_get(goal, "choose");
		assert_int_equal(cJSON_GetArraySize(shunt_json_get(reply, "goals")), 1);
		assert_string_equal(shunt_json_str(goal, "goal"), rows[i].goal);
		if (!rows[i].backend) {
			assert_true(cJSON_IsNull(choose));
			continue;
		}
		assert_string_equal(shunt_json_str(choose, "backend"), rows[i].backend);
		assert_string_equal(shunt_json_str(choose, "wait"), rows[i].wait);
		assert_true(cJSON_GetArraySize(shunt_json_get(goal, "reasons")) > 0);
	}
}

/* A reason names a fact that is listed, or the number that was measured. */
static void every_reason_cites_what_it_stands_on(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_json_ cJSON *probe = cJSON_CreateObject();
		_json_ cJSON *measured =
			rows[i].measured ? set_measured(rows[i].measured) : NULL;
		_json_ cJSON *reply = NULL;
		struct shunt_advise_facts facts;
		const cJSON *reason;

		set_facts(&facts, rows[i].facts);
		reply = shunt_advise(probe, &facts, measured, "file", rows[i].goal);
		cJSON_ArrayForEach(reason, shunt_json_get(first_goal(reply), "reasons"))
		{
			const char *fact = shunt_json_str(reason, "fact"),
				   *number = shunt_json_str(reason, "measured");

			assert_true(*fact || *number);
			assert_true(!*fact || shunt_advise_fact(&facts, fact));
			assert_true(!*number || rows[i].measured);
		}
	}
}

static void a_measurement_of_another_kernel_is_warned_of(void **ctx)
{
	_json_ cJSON *probe = cJSON_CreateObject();
	_json_ cJSON *measured = set_measured("epoll round-trip 1 spin 8000");
	_json_ cJSON *reply = NULL;
	struct shunt_advise_facts facts;

	(void)ctx;
	cJSON_AddStringToObject(probe, "kernel", "6.18");
	set_facts(&facts, ALL BARE);
	assert_int_equal(shunt_advise_check(measured, "file", NULL, NULL), 0);
	reply = shunt_advise(probe, &facts, measured, "file", NULL);
	assert_non_null(strstr(
		cJSON_GetArrayItem(shunt_json_get(reply, "warnings"), 0)->valuestring,
		"measure again"));
	assert_int_equal(cJSON_GetArraySize(shunt_json_get(reply, "goals")), 5);
}

static void what_is_no_measurement_or_no_goal_is_refused(void **ctx)
{
	_json_ cJSON *other = cJSON_CreateObject();
	struct shunt_err err = { "" };

	(void)ctx;
	cJSON_AddStringToObject(other, "schema", "shunt.probe/1");
	assert_int_equal(shunt_advise_check(other, "x.json", NULL, &err), -EINVAL);
	assert_non_null(strstr(err.message, "shunt.probe/1"));
	assert_int_equal(shunt_advise_check(NULL, NULL, "speed", &err), -EINVAL);
	assert_non_null(strstr(err.message, "throughput latency custom-packets"));
	assert_int_equal(shunt_advise_check(NULL, NULL, "cloud", &err), 0);
	assert_int_equal(shunt_advise_check(NULL, NULL, NULL, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_goal_is_served_by_what_fits),
		cmocka_unit_test(every_reason_cites_what_it_stands_on),
		cmocka_unit_test(a_measurement_of_another_kernel_is_warned_of),
		cmocka_unit_test(what_is_no_measurement_or_no_goal_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
