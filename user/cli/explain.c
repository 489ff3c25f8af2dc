/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/explain.h"
#include "loader/policy/policy.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"
#include "user/cli/pcap.h"
#include "user/cli/tuple.h"
#include "user/net/line.h"

#define FRAME_MAX 65536

/* One call: whom it asks, and how it tells. */
struct explaining {
	const struct shunt_cli *cli;
	struct shunt_explain *explain;
	bool many;		   /* packets: a line each */
	unsigned long long faults; /* packets about which program and policy disagree */
};

static void cleanup_explain(struct shunt_explain **explain)
{
	shunt_explain_close(*explain);
}

#define _explain_ __attribute__((cleanup(cleanup_explain)))

/* --- text -------------------------------------------------------------------- */

/* "80, 443" of a list of strings. */
static void print_list(const cJSON *list)
{
	const cJSON *item;
	const char *comma = "";

	cJSON_ArrayForEach(item, list)
	{
		printf("%s%s", comma, item->valuestring);
		comma = ", ";
	}
}

/* "drop by rule web (rule)" */
static void print_verdict(const cJSON *reply)
{
	const char *rule = shunt_json_str(reply, "rule");

	printf("%s%s%s by %s%s (%s)", shunt_out_bold(),
	       shunt_json_str(reply, "verdict"), shunt_out_plain(),
	       *rule ? "rule " : "", *rule ? rule : "the policy",
	       shunt_json_str(reply, "reason"));
}

static void print_disagreement(const cJSON *reply)
{
	const cJSON *disagrees = cJSON_GetObjectItemCaseSensitive(reply, "disagrees");
	const char *rule = shunt_json_str(disagrees, "rule");

	if (disagrees)
		printf("%s  DISAGREES: the policy says %s by %s%s%s\n",
		       shunt_out_bold(), shunt_json_str(disagrees, "action"),
		       *rule ? "rule " : "the default", rule, shunt_out_plain());
}

/* A key, what the packet has there, and what the rule wants, where that is not the same. */
static void print_key(const cJSON *one)
{
	const cJSON *packet = cJSON_GetObjectItemCaseSensitive(one, "packet");
	const cJSON *wants = cJSON_GetObjectItemCaseSensitive(one, "wants");
	const char *has = cJSON_IsString(packet) ? packet->valuestring : "nothing";

	printf("%s %s", shunt_json_str(one, "key"), *has ? has : "none");
	if (cJSON_GetArraySize(wants) == 1 && !strcmp(wants->child->valuestring, has))
		return;
	printf(" (wants ");
	print_list(wants);
	printf(")");
}

static void print_keys(const cJSON *reply, const char *name, const char *title)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(reply, name))
	{
		const char *rule = shunt_json_str(one, "rule");

		printf("  %-9s", title);
		if (*rule)
			printf("rule %s, but for ", rule);
		print_key(one);
		printf("\n");
		title = "";
	}
}

static void print_block(const cJSON *reply, const char *line)
{
	const cJSON *counted = cJSON_GetObjectItemCaseSensitive(reply, "counted");
	const cJSON *nearly = cJSON_GetObjectItemCaseSensitive(reply, "nearly");
	unsigned long long all = shunt_json_u64(reply, "nearly_total");
	int named = cJSON_GetArraySize(nearly);

	print_verdict(reply);
	printf(", hook %s, generation %llu\n  packet   %s\n",
	       shunt_json_str(reply, "hook"),
	       (unsigned long long)shunt_json_u64(reply, "generation"), line);
	print_keys(reply, "matched", "matched");
	if (cJSON_GetArraySize(counted)) {
		printf("  counted  ");
		print_list(counted);
		printf("\n");
	}
	print_keys(reply, "nearly", "nearly");
	if (all > (unsigned long long)named)
		printf("           and %llu more rules\n", all - named);
	print_disagreement(reply);
	shunt_out_chain(reply);
}

static void print_text(const struct explaining *e, const cJSON *reply,
		       const void *frame, size_t bytes)
{
	const char *error = shunt_json_str(reply, "error");
	unsigned long long number = shunt_json_u64(reply, "packet");
	char line[SHUNT_LINE_ROOM];
	struct shunt_pkt pkt;
	int reason;

	if (*error) {
		printf("%llu: no verdict: %s\n", number, error);
		return;
	}
	reason = shunt_frame_parse(frame, bytes, &pkt);
	shunt_line(&pkt, reason, line);
	if (!e->many) {
		print_block(reply, line);
		return;
	}
	printf("%llu: ", number);
	print_verdict(reply);
	printf(" %s\n", line);
	print_disagreement(reply);
}

/* --- packets ----------------------------------------------------------------- */

static int explain_one(void *self, uint64_t number, const void *frame, size_t bytes,
		       struct shunt_err *err)
{
	struct explaining *e = self;
	_json_ cJSON *reply = NULL;
	int ret = shunt_explain_frame(e->explain, number, frame, bytes, &reply, err);

	if (ret)
		return ret;
	e->faults += cJSON_HasObjectItem(reply, "disagrees");
	if (e->cli->json)
		shunt_out_json(reply);
	else
		print_text(e, reply, frame, bytes);
	return 0;
}

/* Hex digits, two a byte, blanks and colons between them allowed. */
static int explain_hex(struct explaining *e, const char *hex, struct shunt_err *err)
{
	_free_ unsigned char *frame = calloc(1, FRAME_MAX);
	size_t digits = 0;
	const char *at;

	if (!frame)
		return shunt_fail(err, -ENOMEM, "explain: out of memory");
	for (at = hex; *at; at++) {
		if (isspace((unsigned char)*at) || *at == ':')
			continue;
		if (!isxdigit((unsigned char)*at) || digits == 2 * FRAME_MAX)
			return shunt_fail(
				err, -EINVAL,
				"--frame: '%c' at position %zu is no hex digit, or "
				"the frame has more than %d bytes",
				*at, (size_t)(at - hex) + 1, FRAME_MAX);
		frame[digits / 2] = frame[digits / 2] << 4 |
				    (isdigit((unsigned char)*at)
					     ? *at - '0'
					     : tolower((unsigned char)*at) - 'a' + 10);
		digits++;
	}
	if (digits % 2)
		return shunt_fail(
			err, -EINVAL,
			"--frame: %zu hex digits make no whole number of bytes",
			digits);
	return explain_one(e, 1, frame, digits / 2, err);
}

/* Exactly one of them says what is to be explained; *bytes of a described frame. */
static int what(const struct shunt_cli *cli, uint8_t frame[SHUNT_TUPLE_BYTES],
		int *bytes, struct shunt_err *err)
{
	const char *pcap = shunt_cli_option(cli, "pcap");
	const char *policy = shunt_cli_option(cli, "policy");

	*bytes = shunt_cli_tuple(cli, frame, err);
	if (*bytes < 0)
		return *bytes;
	if (!!pcap + !!shunt_cli_option(cli, "frame") + !!*bytes != 1)
		return shunt_fail(
			err, -EINVAL,
			"explain: what? Name a capture (--pcap FILE) or a frame "
			"(--frame HEX), or describe a packet (--src, --proto, --dport "
			"and so on), one of them");
	if (!cli->args == !policy)
		return shunt_fail(err, -EINVAL,
				  "explain: by what? Name an attached interface or a "
				  "policy (-p FILE), one of them");
	if (pcap && policy && !strcmp(pcap, "-") && !strcmp(policy, "-"))
		return shunt_fail(err, -EINVAL,
				  "explain: standard input can be the capture or the "
				  "policy, not both");
	return 0;
}

static int tell(struct explaining *e, const uint8_t *frame, int bytes,
		struct shunt_err *err)
{
	const char *pcap = shunt_cli_option(e->cli, "pcap");
	int ret;

	e->many = pcap;
	if (pcap)
		ret = shunt_pcap_each(pcap, explain_one, e, err);
	else if (bytes)
		ret = explain_one(e, 1, frame, bytes, err);
	else
		ret = explain_hex(e, shunt_cli_option(e->cli, "frame"), err);
	if (ret || !e->faults)
		return ret;
	return shunt_fail(err, -EBADMSG,
			  "the program and its policy disagree about packets, of which "
			  "there are %llu: a fault of Shunt's; please report it with "
			  "the policy and the packet. What is shown is what the "
			  "program does",
			  e->faults);
}

int shunt_cli_explain(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *hook = shunt_cli_option(cli, "hook");
	const char *iface = shunt_cli_option(cli, "iface");
	_policy_ struct shunt_policy *policy = NULL;
	_explain_ struct shunt_explain *explain = NULL;
	struct explaining e = { .cli = cli };
	uint8_t frame[SHUNT_TUPLE_BYTES];
	int ret, bytes;

	ret = what(cli, frame, &bytes, err);
	if (!ret && iface && cli->args)
		ret = shunt_fail(
			err, -EINVAL,
			"explain: --iface goes with -p: of %s the name is known",
			cli->arg[0]);
	if (!ret)
		ret = shunt_cli_policy(cli, &policy, err);
	if (!ret)
		ret = policy ? shunt_explain_open_for(&explain, policy, hook,
						      iface ? iface : "", err)
			     : shunt_explain_open(&explain, cli->arg[0], hook, err);
	if (ret)
		return ret;
	e.explain = explain;
	return tell(&e, frame, bytes, err);
}
