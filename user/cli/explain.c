/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pcap/pcap.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

#define FRAME_MAX 65536

static void cleanup_explain(struct shunt_explain **explain)
{
	shunt_explain_close(*explain);
}

static void cleanup_pcap(pcap_t **pcap)
{
	if (*pcap)
		pcap_close(*pcap);
}

#define _explain_ __attribute__((cleanup(cleanup_explain)))
#define _pcap_ __attribute__((cleanup(cleanup_pcap)))

static void print_text(const cJSON *reply)
{
	const cJSON *pkt = cJSON_GetObjectItemCaseSensitive(reply, "pkt");
	const cJSON *rule = cJSON_GetObjectItemCaseSensitive(reply, "rule");
	const char *error = shunt_json_str(reply, "error");
	unsigned long long number = shunt_json_u64(reply, "packet");
	char *words;

	if (*error) {
		printf("%llu: no verdict: %s\n", number, error);
		return;
	}
	words = cJSON_PrintUnformatted(pkt);
	printf("%llu: %s%s%s by %s%s (%s) %s\n", number, shunt_out_bold(),
	       shunt_json_str(reply, "verdict"), shunt_out_plain(),
	       cJSON_IsString(rule) ? "rule " : "",
	       cJSON_IsString(rule) ? rule->valuestring : "the policy",
	       shunt_json_str(reply, "reason"), words ? words : "");
	free(words);
}

static int explain_one(const struct shunt_cli *cli, struct shunt_explain *explain,
		       uint64_t number, const void *frame, size_t bytes,
		       struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	int ret = shunt_explain_frame(explain, number, frame, bytes, &reply, err);

	if (ret)
		return ret;
	if (cli->json)
		shunt_out_json(reply);
	else
		print_text(reply);
	return 0;
}

/* Hex digits, two a byte, blanks and colons between them allowed. */
static int explain_hex(const struct shunt_cli *cli, struct shunt_explain *explain,
		       const char *hex, struct shunt_err *err)
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
	return explain_one(cli, explain, 1, frame, digits / 2, err);
}

static int explain_pcap(const struct shunt_cli *cli, struct shunt_explain *explain,
			const char *path, struct shunt_err *err)
{
	char why[PCAP_ERRBUF_SIZE];
	_pcap_ pcap_t *pcap = pcap_open_offline(path, why);
	struct pcap_pkthdr *head;
	const unsigned char *frame;
	uint64_t number = 0;
	int ret;

	if (!pcap)
		return shunt_fail(err, -EINVAL, "--pcap %s: %s", path, why);
	if (pcap_datalink(pcap) != DLT_EN10MB)
		return shunt_fail(
			err, -EINVAL,
			"--pcap %s: its packets are of link type %s, and Shunt "
			"judges Ethernet frames only",
			path, pcap_datalink_val_to_name(pcap_datalink(pcap)));
	while ((ret = pcap_next_ex(pcap, &head, &frame)) == 1) {
		ret = explain_one(cli, explain, ++number, frame, head->caplen, err);
		if (ret)
			return ret;
	}
	if (ret != PCAP_ERROR_BREAK)
		return shunt_fail(err, -EINVAL, "--pcap %s, behind packet %llu: %s",
				  path, (unsigned long long)number, pcap_geterr(pcap));
	return 0;
}

int shunt_cli_explain(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *pcap = shunt_cli_option(cli, "pcap");
	const char *frame = shunt_cli_option(cli, "frame");
	const char *hook = shunt_cli_option(cli, "hook");
	_explain_ struct shunt_explain *explain = NULL;
	_policy_ struct shunt_policy *policy = NULL;
	int ret;

	if (!pcap == !frame)
		return shunt_fail(
			err, -EINVAL,
			"explain: what? Name a capture (--pcap FILE) or a frame "
			"(--frame HEX), one of them");
	if (!cli->args == !shunt_cli_option(cli, "policy"))
		return shunt_fail(err, -EINVAL,
				  "explain: by what? Name an attached interface or a "
				  "policy (-p FILE), one of them");
	ret = shunt_cli_policy(cli, &policy, err);
	if (!ret)
		ret = policy ? shunt_explain_open_policy(&explain, policy, hook, err)
			     : shunt_explain_open(&explain, cli->arg[0], hook, err);
	if (ret)
		return ret;
	return frame ? explain_hex(cli, explain, frame, err)
		     : explain_pcap(cli, explain, pcap, err);
}
