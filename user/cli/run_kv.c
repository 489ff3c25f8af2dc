/* SPDX-License-Identifier: BSD-2-Clause */
/* run kv: options into a server of keys and values. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/kv_file.h"
#include "user/apps/kv.h"
#include "user/cli/cli.h"

static void close_kv(struct shunt_kv **kv)
{
	shunt_kv_close(*kv);
}

static int read_port(struct shunt_cli *cli, struct shunt_door *door,
		     struct shunt_err *err)
{
	uint64_t port = 0;
	int ret = shunt_cli_number(cli, "port", &port, err);

	if (ret)
		return ret;
	if (!port || port > 65535)
		return shunt_fail(err, -EINVAL,
				  "run kv: at which UDP port? --port 7000 says");
	door->port = (uint16_t)port;
	return 0;
}

static int read_addresses(struct shunt_cli *cli, struct shunt_door *door,
			  struct shunt_err *err)
{
	const char *text;
	uint32_t n;

	for (n = 0; (text = shunt_cli_option_at(cli, "address", n)); n++) {
		if (n == SHUNT_DOOR_ADDRESSES)
			return shunt_fail(err, -E2BIG,
					  "--address: there are more than %u",
					  SHUNT_DOOR_ADDRESSES);
		door->l3[n] = SHUNT_L3_IP4;
		if (inet_pton(AF_INET, text, door->address[n]) == 1)
			continue;
		door->l3[n] = SHUNT_L3_IP6;
		if (inet_pton(AF_INET6, text, door->address[n]) != 1)
			return shunt_fail(err, -EINVAL,
					  "--address \"%s\": neither an IPv4 nor an "
					  "IPv6 address",
					  text);
	}
	door->addresses = n;
	return 0;
}

static int read_options(struct shunt_cli *cli, struct shunt_kv_opts *opts,
			struct shunt_err *err)
{
	uint64_t keys = 0;
	int ret = read_port(cli, &opts->door, err);

	opts->interface = cli->arg[0];
	opts->mode = shunt_cli_option(cli, "mode");
	opts->modes = SHUNT_KV_WITH_HEADER | SHUNT_KV_WITH_BARE;
	if (!shunt_cli_option(cli, "pass-misses"))
		opts->modes |= SHUNT_KV_WITH_MISS;
	if (!ret)
		ret = read_addresses(cli, &opts->door, err);
	if (!ret)
		ret = shunt_cli_number(cli, "keys", &keys, err);
	if (!ret && keys > SHUNT_KV_KEYS_MAX)
		ret = shunt_fail(err, -EINVAL, "--keys %llu: there may be %u",
				 (unsigned long long)keys, SHUNT_KV_KEYS_MAX);
	opts->keys = (uint32_t)keys;
	if (!ret && opts->mode && strcmp(opts->mode, "auto") &&
	    strcmp(opts->mode, "native") && strcmp(opts->mode, "generic"))
		ret = shunt_fail(err, -EINVAL,
				 "--mode \"%s\": there are auto, native and generic",
				 opts->mode);
	return ret;
}

/* KEY=VALUE; the value may have more of the signs. */
static int set_one(struct shunt_kv *kv, const char *text, struct shunt_err *err)
{
	const char *sign = strchr(text, '=');
	char key[SHUNT_KV_KEY_MAX + 2];
	size_t len = sign ? (size_t)(sign - text) : 0;

	if (!sign)
		return shunt_fail(err, -EINVAL, "--set \"%s\": it is KEY=VALUE", text);
	if (len > sizeof(key) - 1)
		len = sizeof(key) - 1; /* too long, which is said where it is set */
	memcpy(key, text, len);
	key[len] = '\0';
	return shunt_kv_set(kv, key, sign + 1, strlen(sign + 1), err);
}

static int fill(struct shunt_cli *cli, struct shunt_kv *kv, struct shunt_err *err)
{
	const char *text;
	int ret = 0;
	size_t i;

	for (i = 0; !ret && (text = shunt_cli_option_at(cli, "file", i)); i++)
		ret = shunt_kv_file(kv, text, err);
	for (i = 0; !ret && (text = shunt_cli_option_at(cli, "set", i)); i++)
		ret = set_one(kv, text, err);
	return ret;
}

int shunt_cli_run_kv(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_kv *kv __attribute__((cleanup(close_kv))) = NULL;
	struct shunt_kv_opts opts = { .sz = sizeof(opts) };
	struct shunt_app_kv_opts app = {
		.sz = sizeof(app),
		.interface = cli->arg[0],
		.out = stdout,
		.json = cli->json,
		.changes_fd = shunt_cli_option(cli, "stdin") ? STDIN_FILENO : -1,
		.interval_ns = 1000000000,
	};
	struct shunt_err note;
	int ret = read_options(cli, &opts, err);

	if (!ret)
		ret = shunt_cli_duration(cli, "duration", &app.duration_ns, err);
	if (!ret)
		ret = shunt_cli_duration(cli, "interval", &app.interval_ns, err);
	if (!ret)
		ret = shunt_kv_open(&kv, &opts, &note, err);
	if (ret)
		return ret;
	if (*note.message)
		fprintf(stderr, "shunt: %s\n", note.message);
	ret = fill(cli, kv, err);
	app.kv = kv;
	return ret ? ret : shunt_app_kv(&app, err);
}
