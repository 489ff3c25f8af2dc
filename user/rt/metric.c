/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/metric.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/json.h"
#include "user/rt/slots.h"

struct shunt_metrics {
	const struct shunt_metric_row *rows;
	size_t count;
	size_t workers;
	size_t stride; /* figures from one worker's first to the next one's */
	shunt_metric *figures;
};

int shunt_metrics_open(struct shunt_metrics **out, const struct shunt_metric_row *rows,
		       size_t count, size_t workers, struct shunt_err *err)
{
	const size_t apart = SHUNT_SLOTS_APART / sizeof(shunt_metric);
	struct shunt_metrics *metrics = calloc(1, sizeof(*metrics));
	size_t bytes;

	*out = NULL;
	if (!metrics)
		return shunt_fail_errno(err, -ENOMEM, "make a table of figures");
	metrics->rows = rows;
	metrics->count = count;
	metrics->workers = workers;
	metrics->stride = (count + apart - 1) / apart * apart;
	bytes = metrics->stride * workers * sizeof(shunt_metric);
	metrics->figures =
		aligned_alloc(SHUNT_SLOTS_APART, bytes ? bytes : SHUNT_SLOTS_APART);
	if (!metrics->figures) {
		shunt_metrics_close(metrics);
		return shunt_fail_errno(err, -ENOMEM,
					"make a table of %zu figures for %zu workers",
					count, workers);
	}
	memset(metrics->figures, 0, bytes);
	*out = metrics;
	return 0;
}

void shunt_metrics_close(struct shunt_metrics *metrics)
{
	if (!metrics)
		return;
	free(metrics->figures);
	free(metrics);
}

shunt_metric *shunt_metrics_of(struct shunt_metrics *metrics, size_t worker)
{
	assert(worker < metrics->workers);
	return metrics->figures + worker * metrics->stride;
}

static uint64_t sum_of(const struct shunt_metrics *metrics, size_t row)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < metrics->workers; i++)
		sum += shunt_metric_read(&metrics->figures[i * metrics->stride + row]);
	return sum;
}

void shunt_metrics_sum(const struct shunt_metrics *metrics, uint64_t *sums)
{
	size_t row;

	for (row = 0; row < metrics->count; row++)
		sums[row] = sum_of(metrics, row);
}

void shunt_metrics_json(const struct shunt_metrics *metrics, cJSON *object)
{
	size_t row;

	for (row = 0; row < metrics->count; row++)
		shunt_json_add_u64(object, metrics->rows[row].name,
				   sum_of(metrics, row));
}
