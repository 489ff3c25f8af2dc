/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/consumer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/word.h"
#include "maps/seat.h"

#define RING_BYTES (1 << 20)
#define RING_BYTES_MIN 4096 /* a page: the kernel takes nothing else */
#define RING_BYTES_MAX (1 << 30)

uint8_t shunt_fate_read(const struct shunt_node *object, const char *key)
{
	struct shunt_node node = shunt_node_get(object, key);
	int value = SHUNT_VERDICT_DROP;

	if (node.json)
		value = shunt_node_name(&node, "\"pass\" or \"drop\"",
					shunt_fate_names);
	return value < 0 ? SHUNT_VERDICT_DROP : value;
}

uint32_t shunt_ring_bytes_read(const struct shunt_node *object)
{
	struct shunt_node bytes = shunt_node_get(object, "bytes");
	int64_t value = RING_BYTES;
	int64_t next = RING_BYTES_MIN;

	if (bytes.json)
		value = shunt_node_number(&bytes, "the size of a ring buffer in bytes",
					  RING_BYTES_MIN, RING_BYTES_MAX);
	if (value < 0)
		return RING_BYTES;
	while (next < value)
		next *= 2;
	if (next != value)
		shunt_node_error(&bytes,
				 "%" PRId64
				 " is not a power of two, as the size of a ring buffer "
				 "must be: write %" PRId64,
				 value, next);
	return value;
}

static bool in_ns(const char *text, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 } };
	uint64_t value;
	char *end;
	size_t i;

	if (*text < '1' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	for (i = 0; !errno && i < sizeof(units) / sizeof(*units); i++)
		if (!strcmp(end, units[i].unit))
			return !__builtin_mul_overflow(value, units[i].ns, ns) &&
			       *ns >= SHUNT_HEARTBEAT_NS_MIN &&
			       *ns <= SHUNT_HEARTBEAT_NS_MAX;
	return false;
}

static uint64_t read_heartbeat(const struct shunt_node *heartbeat)
{
	uint64_t ns = SHUNT_HEARTBEAT_NS;
	const char *text;

	if (!heartbeat->json)
		return ns;
	text = shunt_node_string(heartbeat, "a time such as \"1s\", or \"off\",");
	if (!text)
		return ns;
	if (!strcmp(text, "off"))
		return 0;
	if (!in_ns(text, &ns))
		shunt_node_error(heartbeat,
				 "%s is no time from 20ms to 10m: write a whole number "
				 "with ms, s or m behind it, or \"off\"",
				 SHUNT_QUOTE(text));
	return ns;
}

static uint64_t read_queues(const struct shunt_node *queues)
{
	const char *text = cJSON_GetStringValue(queues->json);
	uint64_t bits = 0;

	if (!queues->json || (text && strcmp(text, "all") == 0))
		return UINT64_MAX;
	if (!cJSON_IsArray(queues->json) || !queues->json->child) {
		shunt_node_error(
			queues,
			"must be \"all\" or a list of at least one receive queue");
		return 0;
	}
	shunt_node_each(item, shunt_node_first(queues))
	{
		int64_t queue = shunt_node_number(&item, "a receive queue", 0,
						  SHUNT_QUEUE_MAX - 1);

		if (queue < 0)
			continue;
		if (bits >> queue & 1)
			shunt_node_error(&item,
					 "queue %" PRId64
					 " stands here twice: remove one",
					 queue);
		bits |= 1ull << queue;
	}
	return bits;
}

static void read_steer(struct shunt_policy_consumer *consumer,
		       const struct shunt_node *node, bool sockets)
{
	struct shunt_node steer = shunt_node_get(node, "steer");

	if (!steer.json)
		return;
	if (!cJSON_IsBool(steer.json)) {
		shunt_node_error(&steer, "must be true or false");
		return;
	}
	consumer->steer = cJSON_IsTrue(steer.json);
	if (consumer->steer && sockets && consumer->queues == UINT64_MAX)
		shunt_node_error(&steer, "flows are steered to queues, and this "
					 "consumer serves all of them: list them in "
					 "\"queues\", or remove it");
	if (consumer->steer && consumer->kind == SHUNT_CONSUMER_RING)
		shunt_node_error(&steer, "a ring buffer takes packets of all receive "
					 "queues: remove it");
}

void shunt_consumer_read(struct shunt_policy_consumer *consumer,
			 const struct shunt_node *node)
{
	static const char *const keys[] = { "kind",	   "queues",  "bytes",
					    "steer",	   "if_down", "heartbeat",
					    "description", NULL };
	static const struct shunt_name kinds[] = {
		{ "xsk", SHUNT_CONSUMER_XSK },
		{ "ring", SHUNT_CONSUMER_RING },
		{ NULL, 0 },
	};
	struct shunt_node kind = shunt_node_get(node, "kind");
	struct shunt_node queues = shunt_node_get(node, "queues");
	struct shunt_node bytes = shunt_node_get(node, "bytes");
	struct shunt_node heartbeat = shunt_node_get(node, "heartbeat");
	int value = -1;

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	if (kind.json)
		value = shunt_node_name(&kind, "a kind of consumer", kinds);
	else
		shunt_node_error(
			node,
			"the key \"kind\" is missing: write \"kind\": \"xsk\" for "
			"AF_XDP sockets, or \"ring\" for a ring buffer");
	consumer->kind = value < 0 ? SHUNT_CONSUMER_XSK : value;
	consumer->queues = read_queues(&queues);
	if (consumer->kind == SHUNT_CONSUMER_RING)
		consumer->ring_bytes = shunt_ring_bytes_read(node);
	if (value == SHUNT_CONSUMER_RING && queues.json)
		shunt_node_error(&queues, "a ring buffer takes packets of all receive "
					  "queues: remove it");
	if (value == SHUNT_CONSUMER_XSK && bytes.json)
		shunt_node_error(&bytes, "is the size of a ring buffer, and this "
					 "consumer has sockets: remove it, or write "
					 "\"kind\": \"ring\"");
	consumer->if_down = shunt_fate_read(node, "if_down");
	consumer->heartbeat_ns = read_heartbeat(&heartbeat);
	read_steer(consumer, node, value == SHUNT_CONSUMER_XSK);
}
