/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics: what workers count, summed up while they do. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "user/base/cleanup.h"
#include "user/rt/metric.h"

/* Nine figures: one more than a line holds. */
#define TEST_METRICS(X)                                                                \
	X(TEST_A, "a", "events")                                                       \
	X(TEST_B, "b", "twice the events")                                             \
	X(TEST_C, "c", "")                                                             \
	X(TEST_D, "d", "")                                                             \
	X(TEST_E, "e", "")                                                             \
	X(TEST_F, "f", "")                                                             \
	X(TEST_G, "g", "")                                                             \
	X(TEST_H, "h", "")                                                             \
	X(TEST_LEVEL, "level", "goes up and down")

enum { TEST_METRICS(SHUNT_METRIC_ID) TEST_COUNT };
static const struct shunt_metric_row rows[] = { TEST_METRICS(SHUNT_METRIC_ROW) };

#define WORKERS 3
#define EVENTS 200000u

static struct shunt_metrics *open_metrics(void)
{
	struct shunt_metrics *metrics;

	assert_int_equal(shunt_metrics_open(&metrics, rows, TEST_COUNT, WORKERS, NULL),
			 0);
	return metrics;
}

static void no_two_workers_share_a_line(void **state)
{
	struct shunt_metrics *metrics = open_metrics();
	uintptr_t line[WORKERS][2];
	int i;

	(void)state;
	for (i = 0; i < WORKERS; i++) {
		shunt_metric *mine = shunt_metrics_of(metrics, i);

		line[i][0] = (uintptr_t)mine / SHUNT_METRIC_LINE;
		line[i][1] = (uintptr_t)(mine + TEST_COUNT - 1) / SHUNT_METRIC_LINE;
		assert_int_equal((uintptr_t)mine % SHUNT_METRIC_LINE, 0);
		assert_true(!i || line[i][0] > line[i - 1][1]);
	}
	shunt_metrics_close(metrics);
}

static void *count(void *arg)
{
	shunt_metric *mine = arg;
	uint32_t i;

	for (i = 0; i < EVENTS; i++) {
		shunt_metric_add(&mine[TEST_A], 1);
		shunt_metric_add(&mine[TEST_B], 2);
		shunt_metric_set(&mine[TEST_LEVEL], i % 2 ? 5 : 1000);
	}
	return NULL;
}

static void sums_grow_and_end_exact(void **state)
{
	struct shunt_metrics *metrics = open_metrics();
	uint64_t sums[TEST_COUNT] = { 0 }, before = 0;
	pthread_t threads[WORKERS];
	_json_ cJSON *json = cJSON_CreateObject();
	_free_ char *text = NULL;
	int i;

	(void)state;
	for (i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count,
						shunt_metrics_of(metrics, i)),
				 0);
	while (sums[TEST_B] < 2u * WORKERS * EVENTS) {
		shunt_metrics_sum(metrics, sums);
		assert_true(sums[TEST_A] >= before);
		before = sums[TEST_A];
		sched_yield();
	}
	for (i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	shunt_metrics_json(metrics, json);
	text = cJSON_PrintUnformatted(json);
	assert_string_equal(text, "{\"a\":600000,\"b\":1200000,\"c\":0,\"d\":0,\"e\":0,"
				  "\"f\":0,\"g\":0,\"h\":0,\"level\":15}");
	shunt_metrics_close(metrics);
}

static void without_workers_all_is_zero(void **state)
{
	struct shunt_metrics *metrics;
	uint64_t sums[TEST_COUNT] = { 7, 7 };

	(void)state;
	assert_int_equal(shunt_metrics_open(&metrics, rows, TEST_COUNT, 0, NULL), 0);
	shunt_metrics_sum(metrics, sums);
	assert_int_equal(sums[TEST_A] + sums[TEST_B], 0);
	shunt_metrics_close(metrics);
	shunt_metrics_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_workers_share_a_line),
		cmocka_unit_test(sums_grow_and_end_exact),
		cmocka_unit_test(without_workers_all_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
