/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/queues.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void read_cpus(uint64_t cpus[SHUNT_CPU_WORDS], const struct shunt_node *list)
{
	if (!cJSON_IsArray(list->json) || !list->json->child) {
		shunt_node_error(list, "must be a list of at least one CPU");
		return;
	}
	shunt_node_each(item, shunt_node_first(list))
	{
		int64_t cpu = shunt_node_number(&item, "a CPU", 0, SHUNT_CPU_MAX - 1);

		if (cpu < 0)
			continue;
		if (cpus[cpu / 64] >> cpu % 64 & 1)
			shunt_node_error(&item,
					 "CPU %" PRId64
					 " stands here twice: remove one",
					 cpu);
		cpus[cpu / 64] |= 1ull << cpu % 64;
	}
}

/* A queue's number as a key; -1 after a complaint. */
static int read_queue(const struct shunt_node *node)
{
	char *end;
	unsigned long queue = strtoul(node->key, &end, 10);

	if (*end || node->key[0] < '0' || node->key[0] > '9' ||
	    queue >= SHUNT_QUEUE_MAX || (node->key[0] == '0' && node->key[1])) {
		shunt_node_error(node, "a queue is a number from 0 to %d",
				 SHUNT_QUEUE_MAX - 1);
		return -1;
	}
	return queue;
}

static void read_steering(uint64_t cpus[][SHUNT_CPU_WORDS],
			  const struct shunt_node *object)
{
	if (!object->json || !shunt_node_object(object, NULL))
		return;
	shunt_node_each(item, shunt_node_first(object))
	{
		int queue = read_queue(&item);

		if (queue >= 0)
			read_cpus(cpus[queue], &item);
	}
}

struct shunt_policy_queues *shunt_queues_read(const struct shunt_node *node)
{
	static const char *const keys[] = { "count", "rps", "xps", "description",
					    NULL };
	struct shunt_node count = shunt_node_get(node, "count");
	struct shunt_node rps = shunt_node_get(node, "rps");
	struct shunt_node xps = shunt_node_get(node, "xps");
	struct shunt_policy_queues *queues;
	int64_t value = 0;

	if (!node->json || !shunt_node_object(node, keys))
		return NULL;
	queues = shunt_node_alloc(node->doc, 1, sizeof(*queues));
	if (!queues)
		return NULL;
	shunt_node_description(node);
	if (count.json)
		value = shunt_node_number(&count, "a number of receive queues", 1,
					  SHUNT_QUEUE_MAX);
	queues->count = value < 0 ? 0 : value;
	read_steering(queues->rps, &rps);
	read_steering(queues->xps, &xps);
	return queues;
}
