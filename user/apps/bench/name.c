/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct shunt_transport_ops *shunt_bench_backend(const char *scheme)
{
	size_t i;

	for (i = 0; shunt_transport_backends[i]; i++)
		if (!strcmp(shunt_transport_backends[i]->scheme, scheme))
			return shunt_transport_backends[i];
	return NULL;
}

bool shunt_bench_is_rdma(const struct shunt_transport_ops *ops)
{
	return !strcmp(ops->scheme, "rdma");
}

static const char *proto_key(const struct shunt_transport_ops *ops)
{
	return shunt_bench_is_rdma(ops) ? "mode" : "proto";
}

const char *const *shunt_bench_protos(const struct shunt_transport_ops *ops)
{
	const struct shunt_spec_row *row = ops->options;

	for (; row && row->key; row++)
		if (!strcmp(row->key, proto_key(ops)))
			return row->choices;
	return NULL;
}

void shunt_bench_uri(char *uri, size_t room, const struct shunt_transport_ops *ops,
		     const char *address, const char *proto, const char *wait)
{
	snprintf(uri, room, "%s://%s?wait=%s", ops->scheme, address, wait);
	if (*proto)
		snprintf(uri + strlen(uri), room - strlen(uri), "&%s=%s",
			 proto_key(ops), proto);
}

bool shunt_bench_means(const char *wanted, const char *name, const char *proto)
{
	size_t bytes = strlen(name);

	return !strncmp(wanted, name, bytes) &&
	       (!wanted[bytes] || (wanted[bytes] == '/' &&
				   (!*proto || !strcmp(wanted + bytes + 1, proto))));
}

bool shunt_bench_wants(const struct shunt_bench_opts *opts, const char *name,
		       const char *proto)
{
	size_t i;

	for (i = 0; i < opts->backend_count; i++)
		if (shunt_bench_means(opts->backends[i], name, proto))
			return true;
	return !opts->backend_count;
}

/* " or /tcp": what else could stand behind the slash. */
static void list_protos(const char *const *protos, char *text, size_t room)
{
	size_t at = 0, i;

	for (i = 0, *text = '\0'; protos && protos[i] && at < room; i++)
		at += (size_t)snprintf(text + at, room - at, "%s/%s", i ? " or " : "",
				       protos[i]);
}

static int check_name(const char *option, const char *wanted, struct shunt_err *err)
{
	const char *slash = strchr(wanted, '/');
	char name[20], known[256] = "";
	const struct shunt_transport_ops *ops;
	const char *const *protos;
	size_t i, at = 0;

	snprintf(name, sizeof(name), "%.*s", slash ? (int)(slash - wanted) : 19,
		 wanted);
	ops = shunt_bench_backend(name);
	for (i = 0; !ops && shunt_transport_backends[i] && at < sizeof(known); i++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, " %s",
				       shunt_transport_backends[i]->scheme);
	if (!ops)
		return shunt_fail(err, -EINVAL, "%s %s: there are%s", option, wanted,
				  known);
	protos = shunt_bench_protos(ops);
	for (i = 0; slash && protos && protos[i]; i++)
		if (!strcmp(protos[i], slash + 1))
			return 0;
	list_protos(protos, known, sizeof(known));
	return slash ? shunt_fail(err, -EINVAL, "%s %s: say %s%s", option, wanted, name,
				  known)
		     : 0;
}

int shunt_bench_check_names(const struct shunt_bench_opts *opts, struct shunt_err *err)
{
	const char *against = opts->against;
	char name[20];
	int ret = against ? check_name("--against", against, err) : 0;
	size_t i;

	for (i = 0; !ret && i < opts->backend_count; i++)
		ret = check_name("--backend", opts->backends[i], err);
	if (ret || !against)
		return ret;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(against, "/"), against);
	if (!shunt_bench_wants(opts, name,
			       against[strlen(name)] ? strchr(against, '/') + 1 : ""))
		return shunt_fail(err, -EINVAL,
				  "--against %s: it is none of those that --backend "
				  "names",
				  against);
	return 0;
}
