/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/tuple.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

/* Options that are keys of "match"; those of ICMP and VLAN have a shape of their own. */
static const struct {
	const char *option, *key;
} rows[] = {
	{ "src", "src" },	    { "dst", "dst" },
	{ "proto", "proto" },	    { "sport", "sport" },
	{ "dport", "dport" },	    { "tcp-flags", "tcp_flags" },
	{ "fragment", "fragment" }, { "dscp", "dscp" },
	{ "length", "length" },	    { "src-mac", "src_mac" },
	{ "dst-mac", "dst_mac" },   { "eth-type", "eth_type" },
};

/* A number where the text is one, for JSON tells them apart. */
static cJSON *value(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return *text >= '0' && *text <= '9' && !*end ? cJSON_CreateNumber(number)
						     : cJSON_CreateString(text);
}

static void add_icmp(const struct shunt_cli *cli, cJSON *match)
{
	const char *type = shunt_cli_option(cli, "icmp-type");
	const char *code = shunt_cli_option(cli, "icmp-code");
	cJSON *icmp;

	if (!type && !code)
		return;
	icmp = cJSON_AddObjectToObject(match, "icmp");
	if (type)
		cJSON_AddItemToObject(icmp, "type", value(type));
	if (code)
		cJSON_AddItemToObject(icmp, "code", value(code));
}

static void add_vlan(const struct shunt_cli *cli, cJSON *match)
{
	const char *text = shunt_cli_option(cli, "vlan");
	const char *dot = text ? strchr(text, '.') : NULL;
	char outer[16] = "";
	cJSON *vlan;

	if (!text)
		return;
	if (!dot || dot - text >= (long)sizeof(outer)) {
		cJSON_AddItemToObject(match, "vlan", value(text));
		return;
	}
	memcpy(outer, text, dot - text);
	vlan = cJSON_AddObjectToObject(match, "vlan");
	cJSON_AddItemToObject(vlan, "outer", value(outer));
	cJSON_AddItemToObject(vlan, "inner", value(dot + 1));
}

/* "icmp/type: words" and "tcp_flags: words" as the option that they are about. */
static int name_option(int ret, struct shunt_err *err)
{
	struct shunt_err was;
	size_t n, i;

	if (!err)
		return ret;
	was = *err;
	n = strcspn(was.message, ": ");
	if (was.message[n] != ':')
		return shunt_fail(err, ret, "explain: %s%s", was.message,
				  ret == -EINVAL ? "; --frame takes any bytes" : "");
	for (i = 0; i < n; i++)
		if (was.message[i] == '/' || was.message[i] == '_')
			was.message[i] = '-';
	return shunt_fail(err, ret, "--%s", was.message);
}

int shunt_cli_tuple(const struct shunt_cli *cli, uint8_t frame[SHUNT_TUPLE_BYTES],
		    struct shunt_err *err)
{
	_json_ cJSON *match = cJSON_CreateObject();
	size_t i;
	int ret;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *text = shunt_cli_option(cli, rows[i].option);

		if (text && *text == '@')
			return shunt_fail(err, -EINVAL,
					  "--%s \"%s\": a packet has an address, not a "
					  "set; `shunt set list` shows members",
					  rows[i].option, text);
		if (text)
			cJSON_AddItemToObject(match, rows[i].key, value(text));
	}
	add_icmp(cli, match);
	add_vlan(cli, match);
	if (!match->child)
		return 0;
	ret = shunt_tuple_frame(match, frame, err);
	return ret < 0 ? name_option(ret, err) : ret;
}
