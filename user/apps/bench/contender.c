/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/contender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/apps/bench/beside.h"
#include "user/apps/bench/bench.h"
#include "user/apps/bench/ends.h"
#include "user/apps/bench/name.h"

#define CONTENDERS 96u

/* What answers in the kernel is asked by another kind of client: the first that works. */
static const struct {
	const char *server;
	const char *options; /* that make it send every message back */
	const char *clients[3];
} asked_by[] = {
	{ "xdp", "&answer=all", { "afxdp", "raw", NULL } },
};

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
		contender->rdma = shunt_bench_is_rdma(ops) && field->has_rdma
					  ? &field->rdma
					  : NULL;
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

/* Its rows differ by protocol: that it is missing is said once. */
static void add_absent_program(struct shunt_bench_field *field, const char *name,
			       const char *why)
{
	size_t i;

	for (i = 0; i < field->absents; i++)
		if (!strcmp(field->absent[i].name, name))
			return;
	add_absent(field, name, why);
}

static int add_program(struct shunt_bench_field *field,
		       const struct shunt_bench_program *program,
		       const struct shunt_bench_opts *opts, const char *no_rdma)
{
	struct shunt_bench_contender *contender;
	char why[SHUNT_BENCH_WORDS];
	size_t i;

	if (program->rdma && !field->has_rdma) {
		add_absent_program(field, program->name, no_rdma);
		return 0;
	}
	if (!shunt_bench_program_is_here(program, why, sizeof(why))) {
		add_absent_program(field, program->name, why);
		return 0;
	}
	contender = add(field, program->name, program->proto, program->wait);
	if (!contender)
		return -ENOMEM;
	contender->program = program;
	contender->rdma = program->rdma ? &field->rdma : NULL;
	for (i = 0; i < opts->size_count; i++)
		if (!program->size_max || opts->sizes[i] <= program->size_max)
			add_case(contender, program->kind, opts->sizes[i])->todo.batch =
				program->batch ? program->batch : 1;
	return 0;
}

/* Whether anything of ours is measured where the program would run. */
static bool has_company(const struct shunt_bench_field *field,
			const struct shunt_bench_opts *opts,
			const struct shunt_bench_program *program)
{
	size_t i;

	if (program && program->rdma)
		return shunt_bench_wants(opts, "rdma", program->proto);
	for (i = 0; i < field->contenders; i++)
		if (field->contender[i].ops && !field->contender[i].rdma)
			return true;
	return false;
}

static int add_beside(struct shunt_bench_field *field,
		      const struct shunt_bench_opts *opts, const char *no_rdma)
{
	int ret = has_company(field, opts, NULL) ? add_plain(field, opts) : 0;
	size_t i;

	for (i = 0; !ret && shunt_bench_programs[i].name; i++)
		if (has_company(field, opts, &shunt_bench_programs[i]))
			ret = add_program(field, &shunt_bench_programs[i], opts,
					  no_rdma);
	return ret;
}

/* Two devices for RDMA, if it is measured here; NULL: they are there. */
static const char *find_rdma(struct shunt_bench_field *field,
			     const struct shunt_bench_opts *opts,
			     char room[SHUNT_BENCH_WORDS])
{
	struct shunt_err err = { "" };
	int ret = shunt_bench_rdma_find(&field->rdma, SHUNT_BENCH_RDMA_SYS,
					opts->rdma[0], opts->rdma[1], &err);

	field->has_rdma = !ret;
	snprintf(room, SHUNT_BENCH_WORDS, "%.500s", err.message);
	return ret ? room : NULL;
}

static int add_protos(struct shunt_bench_field *field,
		      const struct shunt_transport_ops *ops,
		      const struct shunt_bench_opts *opts)
{
	static const char *const none[] = { "", NULL };
	const char *const *protos = shunt_bench_protos(ops);
	int ret = 0;

	for (protos = protos ? protos : none; !ret && *protos; protos++)
		if (shunt_bench_wants(opts, ops->scheme, *protos))
			ret = add_backend(field, ops, *protos, opts);
	return ret;
}

static int fill(struct shunt_bench_field *field, const struct shunt_bench_opts *opts)
{
	char room[SHUNT_BENCH_WORDS], no_rdma[SHUNT_BENCH_WORDS] = "";
	int ret = 0;
	size_t i;

	for (i = 0; !ret && shunt_transport_backends[i]; i++) {
		const struct shunt_transport_ops *ops = shunt_transport_backends[i];
		const char *why = missing(ops, room, sizeof(room));

		if (!why && shunt_bench_is_rdma(ops) && !opts->peer)
			why = find_rdma(field, opts, room);
		if (why && shunt_bench_is_rdma(ops))
			snprintf(no_rdma, sizeof(no_rdma), "%s", why);
		if (why && shunt_bench_wants(opts, ops->scheme, ""))
			add_absent(field, ops->scheme, why);
		if (!why)
			ret = add_protos(field, ops, opts);
	}
	if (!ret && opts->beside)
		ret = add_beside(field, opts, no_rdma);
	return ret;
}

int shunt_bench_field_make(struct shunt_bench_field *field,
			   const struct shunt_bench_opts *opts, struct shunt_err *err)
{
	int ret = shunt_bench_check_names(opts, err);

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
