/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/modifier.h"

#include <string.h>

#include "loader/policy/iface.h"

#define PACKETS_MAX 1000000000ll /* a second: more than any link carries */
#define BYTES_MAX 100000000000ll /* a second: 800 Gbit/s */
#define BURST_BYTES_MIN 1514	 /* a bucket that no full frame fits into passes none */
#define BURST_SECONDS_MAX 3600	 /* an hour; the engine's clock could tell 18 apart */
#define PREFIXES 65536		 /* remembered, where "size" does not say */
#define PREFIXES_MAX 1048576
#define SAMPLE_BYTES_MIN 14 /* an Ethernet header */
#define SAMPLE_BYTES_MAX 65535
#define ONE_IN_MAX 1000000000

/* --- limit ------------------------------------------------------------------- */

static void read_rate(struct shunt_policy_limit *limit, const struct shunt_node *node)
{
	struct shunt_node packets = shunt_node_get(node, "packets");
	struct shunt_node bytes = shunt_node_get(node, "bytes");
	int64_t rate;

	if (!packets.json == !bytes.json) {
		shunt_node_error(node,
				 "must have exactly one of \"packets\" and \"bytes\": "
				 "how many pass in a second");
		return;
	}
	limit->bytes = bytes.json;
	rate = limit->bytes ? shunt_node_number(&bytes, "bytes a second", 1, BYTES_MAX)
			    : shunt_node_number(&packets, "packets a second", 1,
						PACKETS_MAX);
	limit->rate = rate < 0 ? 0 : rate;
}

static void read_burst(struct shunt_policy_limit *limit, const struct shunt_node *node)
{
	struct shunt_node burst = shunt_node_get(node, "burst");
	int64_t min = limit->bytes ? BURST_BYTES_MIN : 1, value;
	int64_t max = (int64_t)limit->rate * BURST_SECONDS_MAX;

	if (!limit->rate) /* reported */
		return;
	limit->burst = (int64_t)limit->rate < min ? (uint64_t)min : limit->rate;
	if (!burst.json)
		return;
	value = shunt_node_number(&burst,
				  limit->bytes ? "a burst in bytes, which has room for "
						 "a frame"
					       : "a burst in packets",
				  min, (max < min ? min : max));
	if (value >= 0)
		limit->burst = value;
}

static int prefix_bits(const struct shunt_node *prefix, const char *key, int max,
		       int otherwise)
{
	struct shunt_node node = shunt_node_get(prefix, key);
	int64_t bits = otherwise;

	if (node.json)
		bits = shunt_node_number(&node, "the length of a prefix", 1, max);
	return bits < 0 ? otherwise : (int)bits;
}

/* What a bucket is for. */
static void read_per(struct shunt_policy_limit *limit, const struct shunt_node *node)
{
	static const struct shunt_name sides[] = {
		{ "source", SHUNT_LIMIT_SRC },
		{ "destination", SHUNT_LIMIT_DST },
		{ NULL, 0 },
	};
	static const char *const families[] = { "ipv4", "ipv6", NULL };
	struct shunt_node per = shunt_node_get(node, "per");
	struct shunt_node prefix = shunt_node_get(node, "prefix");
	struct shunt_node size = shunt_node_get(node, "size");
	int64_t value;

	if (!per.json) {
		const struct shunt_node *alone = prefix.json ? &prefix : &size;

		if (alone->json)
			shunt_node_error(
				alone,
				"the rule has one bucket for all of its packets: add "
				"\"per\": \"source\" or \"destination\", or remove it");
		return;
	}
	value = shunt_node_name(&per, "what each bucket is for", sides);
	limit->by = value < 0 ? SHUNT_LIMIT_SRC : value;
	if (prefix.json)
		shunt_node_object(&prefix, families);
	limit->bits4 = prefix_bits(&prefix, "ipv4", 32, 32);
	limit->bits6 = prefix_bits(&prefix, "ipv6", 128, 64);
	value = PREFIXES;
	if (size.json)
		value = shunt_node_number(&size, "how many prefixes are remembered", 1,
					  PREFIXES_MAX);
	limit->size = value < 0 ? PREFIXES : value;
}

static void read_limit(struct shunt_policy_limit *limit, const struct shunt_node *node)
{
	static const char *const keys[] = { "packets", "bytes", "burst", "per",
					    "prefix",  "size",	"over",	 NULL };
	struct shunt_node over = shunt_node_get(node, "over");
	int value = SHUNT_VERDICT_DROP;

	if (!shunt_node_object(node, keys))
		return;
	read_rate(limit, node);
	read_burst(limit, node);
	read_per(limit, node);
	if (over.json)
		value = shunt_node_name(&over, "\"pass\" or \"drop\"",
					shunt_fate_names);
	limit->over = value < 0 ? SHUNT_VERDICT_DROP : value;
}

/* --- sample and mirror ------------------------------------------------------- */

static void read_sample(struct shunt_policy_sample *sample,
			const struct shunt_node *node)
{
	static const char *const keys[] = { "one_in", "bytes", NULL };
	struct shunt_node one_in = shunt_node_get(node, "one_in");
	struct shunt_node bytes = shunt_node_get(node, "bytes");
	int64_t value;

	if (!shunt_node_object(node, keys))
		return;
	if (!one_in.json) {
		shunt_node_error(node,
				 "the key \"one_in\" is missing: 1 takes every packet, "
				 "1000 one of a thousand");
	} else {
		value = shunt_node_number(&one_in,
					  "how many packets one sample stands for", 1,
					  ONE_IN_MAX);
		sample->one_in = value < 0 ? 0 : value;
	}
	if (bytes.json) {
		value = shunt_node_number(&bytes, "how much of a frame is kept",
					  SAMPLE_BYTES_MIN, SAMPLE_BYTES_MAX);
		sample->bytes = value < 0 ? 0 : value;
	}
}

static void read_mirror(struct shunt_policy_mirror *mirror,
			const struct shunt_node *node)
{
	static const char *const keys[] = { "interface", NULL };
	const char *text = cJSON_GetStringValue(node->json);
	struct shunt_node interface = shunt_node_get(node, "interface");

	if (text && strcmp(text, "ring") == 0) {
		mirror->to = SHUNT_MIRROR_RING;
		return;
	}
	if (!cJSON_IsObject(node->json)) {
		shunt_node_error(node,
				 "must be \"ring\" or { \"interface\": \"eth1\" }: "
				 "where the copies go");
		return;
	}
	shunt_node_object(node, keys);
	if (!interface.json)
		shunt_node_error(node, "the key \"interface\" is missing: where the "
				       "copies go");
	else if (shunt_iface_read(&interface, mirror->target))
		mirror->to = SHUNT_MIRROR_INTERFACE;
}

/* --- all of them ------------------------------------------------------------- */

/* "count" decides nothing, and what is dropped goes nowhere. */
static void check_action(const struct shunt_policy_rule *rule,
			 const struct shunt_node *node)
{
	static const char *const keys[] = { SHUNT_MODIFIER_KEYS };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct shunt_node at = shunt_node_get(node, keys[i]);

		if (!at.json)
			continue;
		if (rule->action == SHUNT_ACTION_COUNT)
			shunt_node_error(
				&at,
				"\"count\" decides nothing about a packet, so that it "
				"cannot be changed here: put \"%s\" into the rule that "
				"decides",
				keys[i]);
		else if (rule->action == SHUNT_VERDICT_DROP &&
			 strcmp(keys[i], "rewrite") == 0)
			shunt_node_error(
				&at,
				"a packet that is dropped goes nowhere: remove it, or "
				"give the rule another action");
	}
}

/* A limit with the same end on both of its sides. */
static void check_limit(const struct shunt_policy_rule *rule,
			const struct shunt_node *limit)
{
	bool pass = rule->action == SHUNT_VERDICT_PASS;

	if (!rule->limit.rate || rule->limit.over != rule->action ||
	    rule->sample.one_in || rule->mirror.to || rule->rewrite.bits)
		return;
	shunt_node_warn(limit,
			"changes nothing: within the limit and beyond it, packets are "
			"%s alike; %s",
			pass ? "passed" : "dropped",
			pass ? "remove \"over\" to drop those beyond it"
			     : "write \"over\": \"pass\" to drop only so many");
}

void shunt_modifiers_read(const struct shunt_match *match,
			  struct shunt_policy_rule *rule, const struct shunt_node *node,
			  bool sound)
{
	struct shunt_node limit = shunt_node_get(node, "limit");
	struct shunt_node sample = shunt_node_get(node, "sample");
	struct shunt_node mirror = shunt_node_get(node, "mirror");
	struct shunt_node rewrite = shunt_node_get(node, "rewrite");

	if (limit.json)
		read_limit(&rule->limit, &limit);
	if (sample.json)
		read_sample(&rule->sample, &sample);
	if (mirror.json)
		read_mirror(&rule->mirror, &mirror);
	if (rewrite.json)
		shunt_rewrite_read(match, &rule->rewrite, &rewrite);
	if (!sound)
		return;
	check_action(rule, node);
	if (limit.json)
		check_limit(rule, &limit);
}
