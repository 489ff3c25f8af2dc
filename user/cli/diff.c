/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/policy.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"
#include "user/cli/pcap.h"
#include "user/net/line.h"

#define NAMES_MAX 12 /* that a line of text lists */
#define GROUPS_MAX 40

static void cleanup_diff(struct shunt_diff **diff)
{
	shunt_diff_close(*diff);
}

#define _diff_ __attribute__((cleanup(cleanup_diff)))

/* --- the sides ---------------------------------------------------------------- */

/* "@eth0" is what rules there, everything else a file. */
static int read_side(const struct shunt_cli *cli, const char *side,
		     struct shunt_policy **policy, struct shunt_err *err)
{
	_json_ cJSON *check = NULL;
	int ret;

	*policy = NULL;
	if (*side == '@')
		return shunt_policy_ruling(side + 1, policy, err);
	ret = shunt_check(side, policy, &check, err);
	if (ret && cli->json)
		shunt_out_json(check);
	else if (!cli->json)
		shunt_out_diags(check);
	return ret;
}

/* --- text: what is written otherwise -------------------------------------------- */

static void print_names(const char *what, const char *how, const cJSON *names)
{
	const cJSON *item;
	int n = cJSON_GetArraySize(names), shown = 0;

	if (!n)
		return;
	printf("%s %s:", what, how);
	cJSON_ArrayForEach(item, names) if (shown++ < NAMES_MAX)
		printf(" %s", item->valuestring);
	if (n > NAMES_MAX)
		printf(" and %d more", n - NAMES_MAX);
	printf("\n");
}

static void print_changed(const char *what, const cJSON *list)
{
	const cJSON *one, *key;
	int shown = 0;

	cJSON_ArrayForEach(one, list)
	{
		const char *comma = "";

		if (shown++ == NAMES_MAX)
			break;
		printf("%s changed: %s (", what, shunt_json_str(one, "name"));
		cJSON_ArrayForEach(key, shunt_json_get(one, "keys"))
		{
			printf("%s%s", comma, key->valuestring);
			comma = ", ";
		}
		if (shunt_json_get(one, "members_added"))
			printf("; %llu members added, %llu removed",
			       (unsigned long long)shunt_json_u64(one, "members_added"),
			       (unsigned long long)shunt_json_u64(one,
								  "members_removed"));
		printf(")\n");
	}
	if (cJSON_GetArraySize(list) > NAMES_MAX)
		printf("%s changed: and %d more\n", what,
		       cJSON_GetArraySize(list) - NAMES_MAX);
}

static void print_policy(const cJSON *policy)
{
	static const struct {
		const char *key, *one;
	} sections[] = { { "rules", "rule" },
			 { "sets", "set" },
			 { "ports", "ports" },
			 { "consumers", "consumer" } };
	size_t i;

	print_names("policy", "changed", shunt_json_get(policy, "keys"));
	for (i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		const cJSON *section = shunt_json_get(policy, sections[i].key);

		print_names(sections[i].one, "added", shunt_json_get(section, "added"));
		print_names(sections[i].one, "removed",
			    shunt_json_get(section, "removed"));
		print_names(sections[i].one, "moved", shunt_json_get(section, "moved"));
		print_changed(sections[i].one, shunt_json_get(section, "changed"));
	}
}

/* --- text: what is done otherwise ---------------------------------------------- */

static void print_half(const cJSON *half)
{
	const char *rule = shunt_json_str(half, "rule");
	const char *none =
		shunt_json_true(half, "malformed") ? "malformed" : "the default";

	printf("%s%s%s by %s%s", shunt_out_bold(), shunt_json_str(half, "verdict"),
	       shunt_out_plain(), *rule ? "rule " : none, rule);
}

static unsigned int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* The example as `explain` shows a packet. */
static void print_example(const cJSON *example)
{
	const char *hex = shunt_json_str(example, "frame");
	size_t bytes = strlen(hex) / 2, i;
	_free_ uint8_t *frame = calloc(bytes + 1, 1);
	char line[SHUNT_LINE_ROOM];
	struct shunt_pkt pkt;
	int reason;

	for (i = 0; frame && i < bytes; i++)
		frame[i] = digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]);
	if (!frame)
		return;
	reason = shunt_frame_parse(frame, bytes, &pkt);
	printf("    as packet %llu: %s\n    --frame %.*s%s\n",
	       (unsigned long long)shunt_json_u64(example, "packet"),
	       shunt_line(&pkt, reason, line), 200, hex, bytes > 100 ? "..." : "");
}

static void print_packets(const cJSON *packets)
{
	unsigned long long refused = shunt_json_u64(packets, "refused");
	unsigned long long other = shunt_json_u64(packets, "other_rule");
	unsigned long long all = shunt_json_u64(packets, "groups_total");
	const cJSON *group;
	unsigned int shown = 0;

	printf("%llu of %llu %s are treated otherwise",
	       (unsigned long long)shunt_json_u64(packets, "otherwise"),
	       (unsigned long long)shunt_json_u64(packets, "compared"),
	       strcmp(shunt_json_str(packets, "from"), "probes") ? "packets"
								 : "probe packets");
	if (other)
		printf("; %llu alike, but by another rule", other);
	if (refused)
		printf("; %llu that the kernel runs no program over", refused);
	printf("\n");
	cJSON_ArrayForEach(group, shunt_json_get(packets, "groups"))
	{
		if (shown++ == GROUPS_MAX)
			break;
		printf("  %llu: ",
		       (unsigned long long)shunt_json_u64(group, "packets"));
		print_half(shunt_json_get(group, "old"));
		printf(" -> ");
		print_half(shunt_json_get(group, "new"));
		printf("\n");
		print_example(shunt_json_get(group, "example"));
	}
	if (all > GROUPS_MAX)
		printf("  and %llu more such pairs of rules; --json lists them\n",
		       all - GROUPS_MAX);
}

/* --- the command --------------------------------------------------------------- */

static int each_packet(void *self, uint64_t number, const void *frame, size_t bytes,
		       struct shunt_err *err)
{
	(void)number; /* the diff counts by itself */
	return shunt_diff_frame(self, frame, bytes, err);
}

static int compare(const struct shunt_cli *cli, struct shunt_diff *diff,
		   struct shunt_err *err)
{
	const char *pcap = shunt_cli_option(cli, "pcap");
	_json_ cJSON *reply = NULL;
	int ret = pcap ? shunt_pcap_each(pcap, each_packet, diff, err)
		       : shunt_diff_probes(diff, err);

	if (!ret)
		ret = shunt_diff_reply(diff, &reply, err);
	if (ret || shunt_out_wants_json(cli, reply))
		return ret;
	if (!shunt_json_true(reply, "different"))
		printf("nothing is different\n");
	print_policy(shunt_json_get(reply, "policy"));
	print_packets(shunt_json_get(reply, "packets"));
	return 0;
}

/* Standard input can be read once. */
static int check_input(const struct shunt_cli *cli, struct shunt_err *err)
{
	const char *pcap = shunt_cli_option(cli, "pcap");
	int n = (pcap && !strcmp(pcap, "-")) + !strcmp(cli->arg[0], "-") +
		!strcmp(cli->arg[1], "-");

	return n < 2 ? 0
		     : shunt_fail(
			       err, -EINVAL,
			       "diff: standard input can be OLD, NEW or the capture, "
			       "one of them");
}

int shunt_cli_diff(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *hook = shunt_cli_option(cli, "hook");
	const char *iface = shunt_cli_option(cli, "iface");
	_policy_ struct shunt_policy *old = NULL;
	_policy_ struct shunt_policy *new = NULL;
	_diff_ struct shunt_diff *diff = NULL;
	int ret = check_input(cli, err), i;

	for (i = 0; !iface && i < 2; i++)
		if (*cli->arg[i] == '@')
			iface = cli->arg[i] + 1;
	if (!ret)
		ret = read_side(cli, cli->arg[0], &old, err);
	if (!ret)
		ret = read_side(cli, cli->arg[1], &new, err);
	if (!ret)
		ret = shunt_diff_open(&diff, old, new, hook, iface, err);
	return ret ? ret : compare(cli, diff, err);
}
