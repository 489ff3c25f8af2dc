/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/contender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/apps/bench/beside.h"
#include "user/apps/bench/bench.h"
#include "user/apps/bench/ends.h"

#define CONTENDERS 96u

/* What answers in the kernel is asked by another kind of client: the first that works. */
static const struct {
	const char *server;
	const char *options; /* that make it send every message back */
	const char *clients[3];
} asked_by[] = {
	{ "xdp", "&answer=all", { "afxdp", "raw", NULL } },
};

/* Carriers that no machine has by itself. */
static const struct shunt_bench_absent guests[] = {
	{ "rdma", "RDMA comes with the guests: no NIC here has it, and this build has "
		  "no backend for it" },
};

const struct shunt_transport_ops *shunt_bench_backend(const char *scheme)
{
	size_t i;

	for (i = 0; shunt_transport_backends[i]; i++)
		if (!strcmp(shunt_transport_backends[i]->scheme, scheme))
			return shunt_transport_backends[i];
	return NULL;
}

bool shunt_bench_has_proto(const struct shunt_transport_ops *ops)
{
	const struct shunt_spec_row *row = ops->options;

	for (; row && row->key; row++)
		if (!strcmp(row->key, "proto"))
			return true;
	return false;
}

void shunt_bench_uri(char *uri, size_t room, const char *scheme, const char *address,
		     const char *proto, const char *wait)
{
	snprintf(uri, room, "%s://%s?wait=%s%s%s", scheme, address, wait,
		 *proto ? "&proto=" : "", proto);
}

const char *shunt_bench_contender_text(const struct shunt_bench_contender *contender,
				       char text[64])
{
	snprintf(text, 64, "%s%s%s, %s", contender->name, *contender->proto ? "/" : "",
		 contender->proto, contender->wait);
	return text;
}

/* NULL: it is here. */
static const char *missing(const struct shunt_transport_ops *ops, char *room,
			   size_t bytes)
{
	return ops->absent ? ops->absent(room, bytes) : NULL;
}

static bool find_client(struct shunt_bench_contender *contender)
{
	char room[SHUNT_BENCH_WORDS];
	size_t i, c;

	for (i = 0; i < sizeof(asked_by) / sizeof(*asked_by); i++) {
		if (strcmp(asked_by[i].server, contender->name) != 0)
			continue;
		for (c = 0; asked_by[i].clients[c]; c++) {
			const struct shunt_transport_ops *ops =
				shunt_bench_backend(asked_by[i].clients[c]);

			if (!ops || missing(ops, room, sizeof(room)))
				continue;
			contender->options = asked_by[i].options;
			snprintf(contender->client, sizeof(contender->client), "%s",
				 ops->scheme);
			return true;
		}
		return false;
	}
	return true;
}

/* --- which ones ------------------------------------------------------------------------- */

/* "epoll" takes all of its protocols, "epoll/tcp" one. */
static bool is_wanted(const struct shunt_bench_opts *opts, const char *name,
		      const char *proto)
{
	size_t i, bytes = strlen(name);

	for (i = 0; i < opts->backend_count; i++) {
		const char *wanted = opts->backends[i];

		if (!strncmp(wanted, name, bytes) &&
		    (!wanted[bytes] ||
		     (wanted[bytes] == '/' &&
		      (!*proto || !strcmp(wanted + bytes + 1, proto)))))
			return true;
	}
	return !opts->backend_count;
}

static int check_names(const struct shunt_bench_opts *opts, struct shunt_err *err)
{
	char known[256] = "";
	size_t i, at = 0;

	for (i = 0; shunt_transport_backends[i]; i++)
		at += (size_t)snprintf(known + at,
				       at < sizeof(known) ? sizeof(known) - at : 0,
				       " %s", shunt_transport_backends[i]->scheme);
	for (i = 0; i < opts->backend_count; i++) {
		const struct shunt_transport_ops *ops;
		const char *slash = strchr(opts->backends[i], '/');
		char name[20];

		snprintf(name, sizeof(name), "%.*s",
			 slash ? (int)(slash - opts->backends[i]) : 19,
			 opts->backends[i]);
		ops = shunt_bench_backend(name);
		if (!ops)
			return shunt_fail(err, -EINVAL, "--backend %s: there are%s",
					  opts->backends[i], known);
		if (slash && (!shunt_bench_has_proto(ops) ||
			      (strcmp(slash, "/udp") && strcmp(slash, "/tcp"))))
			return shunt_fail(err, -EINVAL, "--backend %s: say %s%s",
					  opts->backends[i], name,
					  shunt_bench_has_proto(ops) ? "/udp or /tcp"
								     : "");
	}
	return 0;
}

/* --- their cases ------------------------------------------------------------------------ */

static struct shunt_bench_tally *add_case(struct shunt_bench_contender *contender,
					  enum shunt_bench_kind kind, uint32_t size)
{
	struct shunt_bench_tally *tally = &contender->tally[contender->cases];

	if (contender->cases == SHUNT_BENCH_CASES)
		return tally - 1; /* the limits of the options allow no more */
	contender->cases++;
	tally->todo = (struct shunt_bench_case){
		.kind = kind, .size = size, .batch = 1, .peers = 1
	};
	return tally;
}

static void add_cases(struct shunt_bench_contender *contender,
		      const struct shunt_bench_opts *opts)
{
	bool one_way = !*contender->client;
	size_t i;

	for (i = 0; i < opts->size_count; i++)
		add_case(contender, SHUNT_BENCH_TURN, opts->sizes[i]);
	for (i = 0; i < (contender->full ? opts->size_count : 1); i++)
		add_case(contender, SHUNT_BENCH_RATE, opts->sizes[i]);
	for (i = 0; one_way && i < (contender->full ? opts->size_count : 1); i++) {
		if (contender->full)
			add_case(contender, SHUNT_BENCH_FLOW, opts->sizes[i]);
		add_case(contender, SHUNT_BENCH_FLOW, opts->sizes[i])->todo.batch =
			SHUNT_BENCH_BATCH;
	}
	for (i = 0; contender->full && i < opts->peer_count; i++)
		if (opts->peers[i] > 1)
			add_case(contender, SHUNT_BENCH_TURN, opts->sizes[0])
				->todo.peers = opts->peers[i];
}

static struct shunt_bench_contender *add(struct shunt_bench_field *field,
					 const char *name, const char *proto,
					 const char *wait)
{
	struct shunt_bench_contender *contender = &field->contender[field->contenders];

	if (field->contenders == CONTENDERS)
		return NULL;
	contender->tally = calloc(SHUNT_BENCH_CASES, sizeof(*contender->tally));
	if (!contender->tally)
		return NULL;
	field->contenders++;
	snprintf(contender->name, sizeof(contender->name), "%s", name);
	snprintf(contender->proto, sizeof(contender->proto), "%s", proto);
	contender->wait = wait;
	contender->options = "";
	return contender;
}

static void add_absent(struct shunt_bench_field *field, const char *name,
		       const char *why)
{
	struct shunt_bench_absent *absent = &field->absent[field->absents++];

	snprintf(absent->name, sizeof(absent->name), "%.19s", name);
	snprintf(absent->why, sizeof(absent->why), "%s", why);
}

static int add_backend(struct shunt_bench_field *field,
		       const struct shunt_transport_ops *ops, const char *proto,
		       const struct shunt_bench_opts *opts)
{
	size_t i;

	for (i = 0; i < opts->wait_count; i++) {
		struct shunt_bench_contender *contender =
			add(field, ops->scheme, proto, opts->waits[i]);

		if (!contender)
			return -ENOMEM;
		contender->ops = ops;
		contender->full = !i;
		if (!find_client(contender))
			snprintf(contender->failed, sizeof(contender->failed),
				 "no backend is here that could ask it");
		add_cases(contender, opts);
	}
	return 0;
}

static int add_plain(struct shunt_bench_field *field,
		     const struct shunt_bench_opts *opts)
{
	size_t i, s;

	for (i = 0; i < opts->wait_count; i++) {
		struct shunt_bench_contender *contender;

		if (!strcmp(opts->waits[i], "adaptive"))
			continue; /* a plain socket spins or blocks */
		contender = add(field, "plain-socket", "udp", opts->waits[i]);
		if (!contender)
			return -ENOMEM;
		for (s = 0; s < opts->size_count; s++)
			add_case(contender, SHUNT_BENCH_TURN, opts->sizes[s]);
	}
	return 0;
}

static int add_program(struct shunt_bench_field *field,
		       const struct shunt_bench_program *program,
		       const struct shunt_bench_opts *opts)
{
	struct shunt_bench_contender *contender;
	char why[SHUNT_BENCH_WORDS], name[20];
	size_t i;

	if (!shunt_bench_program_is_here(program, why, sizeof(why))) {
		snprintf(name, sizeof(name), "%s", program->name);
		/* its rows differ by protocol; that it is missing is said once */
		if (!field->absents ||
		    strcmp(field->absent[field->absents - 1].name, name) != 0)
			add_absent(field, name, why);
		return 0;
	}
	contender = add(field, program->name, program->proto, program->wait);
	if (!contender)
		return -ENOMEM;
	contender->program = program;
	for (i = 0; i < opts->size_count; i++)
		add_case(contender, program->kind, opts->sizes[i]);
	return 0;
}

static int add_beside(struct shunt_bench_field *field,
		      const struct shunt_bench_opts *opts)
{
	int ret = add_plain(field, opts);
	size_t i;

	for (i = 0; !ret && shunt_bench_programs[i].name; i++)
		ret = add_program(field, &shunt_bench_programs[i], opts);
	return ret;
}

static int fill(struct shunt_bench_field *field, const struct shunt_bench_opts *opts)
{
	char room[SHUNT_BENCH_WORDS];
	int ret = 0;
	size_t i;

	for (i = 0; !ret && shunt_transport_backends[i]; i++) {
		const struct shunt_transport_ops *ops = shunt_transport_backends[i];
		bool proto = shunt_bench_has_proto(ops);
		const char *why = missing(ops, room, sizeof(room));

		if (why && is_wanted(opts, ops->scheme, ""))
			add_absent(field, ops->scheme, why);
		if (!why && is_wanted(opts, ops->scheme, proto ? "udp" : ""))
			ret = add_backend(field, ops, proto ? "udp" : "", opts);
		if (!ret && !why && proto && is_wanted(opts, ops->scheme, "tcp"))
			ret = add_backend(field, ops, "tcp", opts);
	}
	for (i = 0; !opts->backend_count && i < sizeof(guests) / sizeof(*guests); i++)
		add_absent(field, guests[i].name, guests[i].why);
	if (!ret && opts->beside)
		ret = add_beside(field, opts);
	return ret;
}

int shunt_bench_field_make(struct shunt_bench_field *field,
			   const struct shunt_bench_opts *opts, struct shunt_err *err)
{
	int ret = check_names(opts, err);

	*field = (struct shunt_bench_field){ .contender = NULL };
	if (ret)
		return ret;
	field->contender = calloc(CONTENDERS, sizeof(*field->contender));
	field->absent = calloc(CONTENDERS, sizeof(*field->absent));
	ret = field->contender && field->absent ? fill(field, opts) : -ENOMEM;
	if (ret) {
		shunt_bench_field_free(field);
		return shunt_fail_errno(err, ret, "bench: room for what is measured");
	}
	return 0;
}

void shunt_bench_field_free(struct shunt_bench_field *field)
{
	size_t i;

	for (i = 0; field->contender && i < field->contenders; i++)
		free(field->contender[i].tally);
	free(field->contender);
	free(field->absent);
	*field = (struct shunt_bench_field){ .contender = NULL };
}
