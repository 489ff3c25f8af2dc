/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verifier thinks of the programs, beside what it thought when that was noted. */
/*
 * tests/bpf/budget.txt has a line for each compiler, kernel series, machine, program and
 * set of features: the verifier's steps, the deepest stack of a chain of calls, and the
 * sizes of the program before and behind the JIT. One that has grown by more than a
 * tenth fails; so does one that takes more than 70 % of what the kernel allows, whatever
 * was noted. `make budget` (budget --write) notes anew.
 */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "loader/maps.h"
#include "loader/netfilter.h"
#include "loader/policy/features.h"
#include "loader/program.h"
#include "maps/config.h"
#include "maps/door.h"
#include "maps/inbox.h"
#include "maps/kv.h"
#include "maps/netfilter.h"
#include "inbox.skel.h"
#include "kv.skel.h"
#include "nf.skel.h"
#include "tc.skel.h"
#include "user/base/cleanup.h"
#include "xdp.skel.h"

#define RECORD "tests/bpf/budget.txt"
#define STEPS_MOST 700000 /* 70 % of the kernel's BPF_COMPLEXITY_LIMIT_INSNS */
#define STACK_MOST 358	  /* 70 % of its MAX_BPF_STACK, bytes */
#define SUBPROGS 64
#define TAG "shunt_xdp_tag"
#define XDP_DEV_BOUND_ONLY (1u << 6) /* linux/bpf.h of Linux 6.3 */
#define ROWS 256

struct cost {
	unsigned int steps, stack, xlated, jited;
};

/* One program with one set of features. */
struct row {
	char key[96]; /* "clang-14 linux-6.18 x86_64 xdp plain" */
	struct cost cost;
};

static struct row now[ROWS];
static size_t rows;

/* --- the deepest chain of calls ---------------------------------------------- */

struct calls {
	const struct bpf_insn *insn;
	size_t insns;
	size_t start[SUBPROGS + 1]; /* of the subprograms, sorted; then the end */
	size_t n;
	unsigned int depth[SUBPROGS]; /* bytes of stack */
};

static bool is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

/* Behind the JIT a call has its distance in `off` (jit_subprogs in the kernel). */
static size_t target(const struct calls *calls, size_t at)
{
	return at + calls->insn[at].off + 1;
}

/* Where functions start: those that are not called as well, which older kernels keep. */
static void find_starts(struct calls *calls, int program)
{
	struct bpf_func_info func[SUBPROGS] = { 0 };
	struct bpf_prog_info info = { .nr_func_info = SUBPROGS,
				      .func_info_rec_size = sizeof(*func),
				      .func_info = (uintptr_t)func };
	__u32 len = sizeof(info);
	size_t k;

	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &len), 0);
	assert_in_range(info.nr_func_info, 1, SUBPROGS);
	calls->n = info.nr_func_info;
	for (k = 0; k < calls->n; k++)
		calls->start[k] = func[k].insn_off;
	calls->start[calls->n] = calls->insns;
}

static bool kernel_is_from(int wanted_major, int wanted_minor)
{
	struct utsname name;
	int major = 0, minor = 0;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
	return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

/* What the kernel rounds each stack up to: until Linux 6.9 as its interpreter needs it. */
static unsigned int granularity(void)
{
	return kernel_is_from(6, 9) ? 16 : 32;
}

static unsigned int chain(const struct calls *calls, size_t at)
{
	unsigned int deepest = 0, step = granularity();
	unsigned int own = (calls->depth[at] + step - 1) / step * step;
	size_t i, k;

	for (i = calls->start[at]; i < calls->start[at + 1]; i++) {
		size_t to = target(calls, i);
		unsigned int below;

		if (!is_call(&calls->insn[i]))
			continue;
		for (k = 0; k < calls->n && calls->start[k] != to; k++)
			;
		assert_true(k < calls->n);
		below = chain(calls, k);
		if (below > deepest)
			deepest = below;
	}
	return (own ? own : step) + deepest;
}

/* Of "16+112+0", on which at stands, the next number. */
static bool next_stack(const char **at, unsigned int *depth)
{
	char *end;

	*depth = strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*at = *end == '+' ? end + 1 : end;
	return true;
}

/* Of "subprog 0 (shunt_xdp) main insns_self 636 ... stack 40", the last number. */
static bool next_subprog(const char **at, unsigned int *depth)
{
	const char *line = strstr(*at, "\nsubprog ");
	const char *stack = line ? strstr(line, " stack ") : NULL;

	if (!stack)
		return false;
	*depth = strtoul(stack + strlen(" stack "), NULL, 10);
	*at = stack;
	return true;
}

/*
 * The verifier names subprograms in the order of their code: in a line
 * "stack depth 16+112+0", or, where that says "max 128", in one line each.
 */
static unsigned int stack_of(int program, const struct bpf_insn *insn, size_t insns,
			     const char *log)
{
	struct calls calls = { .insn = insn, .insns = insns };
	const char *at = strstr(log, "stack depth ");
	bool lines;
	size_t k;

	assert_non_null(at);
	at += strlen("stack depth ");
	lines = !strncmp(at, "max ", 4);
	find_starts(&calls, program);
	for (k = 0; k < calls.n; k++)
		if (!(lines ? next_subprog : next_stack)(&at, &calls.depth[k]))
			fail_msg("the verifier names %zu stacks, there are %zu: %s", k,
				 calls.n, at);
	return chain(&calls, 0);
}

/* --- loading ----------------------------------------------------------------- */

static char verifier_log[1 << 20];

static int hush(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, args) : 0;
}

/* What is left of the program when the verifier has removed what is not reached. */
static struct cost load(struct bpf_object *object, const char *name)
{
	struct bpf_prog_info info = { 0 };
	struct bpf_program *program, *wanted = NULL;
	__u32 len = sizeof(info);
	struct cost cost;

	bpf_object__for_each_program(program, object)
	{
		bool is = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, is);
		if (is)
			wanted = program;
	}
	assert_non_null(wanted);
	if (!strcmp(name, TAG)) {
		bpf_program__set_ifindex(wanted, if_nametoindex("budget0"));
		bpf_program__set_flags(wanted,
				       bpf_program__flags(wanted) | XDP_DEV_BOUND_ONLY);
	}
	bpf_program__set_log_level(wanted, 4); /* statistics alone */
	bpf_program__set_log_buf(wanted, verifier_log, sizeof(verifier_log));
	memset(verifier_log, 0, sizeof(verifier_log));
	if (bpf_object__load(object))
		fail_msg("load %s: %s", name, verifier_log);
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(wanted), &info, &len),
			 0);
	cost.steps = info.verified_insns;
	cost.xlated = info.xlated_prog_len;
	cost.jited = info.jited_prog_len;
	_free_ struct bpf_insn *insn = calloc(1, cost.xlated);
	assert_non_null(insn);
	memset(&info, 0, sizeof(info));
	info.xlated_prog_insns = (uintptr_t)insn;
	info.xlated_prog_len = cost.xlated;
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(wanted), &info, &len),
			 0);
	cost.stack = stack_of(bpf_program__fd(wanted), insn,
			      cost.xlated / sizeof(*insn), verifier_log);
	return cost;
}

static struct cost cost_of(const char *name, uint32_t features)
{
	static const struct shunt_needs needs = { .image_bytes = 1u << 20,
						  .counters = SHUNT_COUNTER_RULES };
	struct shunt_maps maps = SHUNT_MAPS_NONE;
	struct shunt_config config = { .features = features };
	struct cost cost;

	shunt_maps_choose(&maps, &needs);
	config.image_bytes = maps.image_bytes;
	if (!strcmp(name, "shunt_xdp") || !strcmp(name, TAG)) {
		struct xdp_bpf *skel = xdp_bpf__open();

		assert_non_null(skel);
		memcpy((void *)&skel->rodata->shunt_config, &config, sizeof(config));
		assert_int_equal(shunt_maps_lend(&maps, skel->obj, NULL), 0);
		cost = load(skel->obj, name);
		xdp_bpf__destroy(skel);
	} else if (!strcmp(name, "shunt_nf")) {
		struct nf_bpf *skel = nf_bpf__open();

		assert_non_null(skel);
		shunt_nf_type(skel->progs.shunt_nf);
		memcpy((void *)&skel->rodata->shunt_config, &config, sizeof(config));
		assert_int_equal(shunt_maps_lend(&maps, skel->obj, NULL), 0);
		cost = load(skel->obj, name);
		nf_bpf__destroy(skel);
	} else {
		struct tc_bpf *skel = tc_bpf__open();

		assert_non_null(skel);
		memcpy((void *)&skel->rodata->shunt_config, &config, sizeof(config));
		assert_int_equal(shunt_maps_lend(&maps, skel->obj, NULL), 0);
		cost = load(skel->obj, name);
		tc_bpf__destroy(skel);
	}
	return cost;
}

/* Programs without features, which parse what comes and no more. */
#define COST_ALONE(object, name)                                                       \
	({                                                                             \
		struct object##_bpf *skel = object##_bpf__open();                      \
		struct cost cost;                                                      \
                                                                                       \
		assert_non_null(skel);                                                 \
		skel->rodata->shunt_config.features = 0;                               \
		cost = load(skel->obj, name);                                          \
		object##_bpf__destroy(skel);                                           \
		cost;                                                                  \
	})

/* --- all programs, all sets of features ---------------------------------------- */

/* "clang-14 linux-6.18 x86_64": what the numbers depend on besides the source. */
static const char *place(void)
{
	static char text[64];
	struct utsname name;
	int major = 0, minor = 0;

	if (!*text && !uname(&name)) {
		sscanf(name.release, "%d.%d", &major, &minor);
		snprintf(text, sizeof(text), "clang-" SHUNT_CLANG " linux-%d.%d %.16s",
			 major, minor, name.machine);
	}
	return text;
}

static void add_row(const char *program, const char *features, struct cost cost)
{
	assert_true(rows < ROWS);
	snprintf(now[rows].key, sizeof(now[rows].key), "%s %s %s", place(), program,
		 features);
	now[rows++].cost = cost;
}

/* The least, each feature on top of it, and all. */
static void measure_program(const char *program)
{
	static const uint32_t single[] = {
#define X(id, bit, name, help) SHUNT_HAS_##id,
		SHUNT_FEATURES(X)
#undef X
	};
	size_t i;

	add_row(program, "none", cost_of(program, 0));
	for (i = 0; i < sizeof(single) / sizeof(*single); i++)
		add_row(program, shunt_feature_name(single[i]),
			cost_of(program, single[i] == SHUNT_HAS_WORDS
						 ? SHUNT_HAS_WORDS
						 : single[i] | SHUNT_HAS_VECTORS));
	add_row(program, "all", cost_of(program, SHUNT_FEATURES_ALL));
}

/* Does the kernel know what the program for tags beside the frame calls? Linux 6.8. */
static bool has_tags(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "bpf_xdp_metadata_rx_vlan_tag",
						 BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static bool has_netfilter(void)
{
	return !shunt_nf_known(NULL);
}

static int measure(void **ctx)
{
	(void)ctx;
	libbpf_set_print(hush);
	if (has_tags()) {
		/* the program is for a device whose driver can be asked, as veth's */
		assert_int_equal(unshare(CLONE_NEWNET), 0);
		assert_int_equal(system("ip link add budget0 type veth"), 0);
		add_row(TAG, "vlan-tag",
			cost_of(TAG, SHUNT_HAS_VLAN_TAG | SHUNT_HAS_VECTORS));
		add_row(TAG, "all", cost_of(TAG, SHUNT_FEATURES_ALL));
	}
#define X(id, value, name, prog)                                                       \
	if (SHUNT_HOOK_##id != SHUNT_HOOK_NETFILTER || has_netfilter())                \
		measure_program(#prog);
	SHUNT_HOOKS(X)
#undef X
	add_row("shunt_kv", "alone", COST_ALONE(kv, "shunt_kv"));
	add_row("shunt_inbox_xdp", "alone", COST_ALONE(inbox, "shunt_inbox_xdp"));
	add_row("shunt_inbox_tc", "alone", COST_ALONE(inbox, "shunt_inbox_tc"));
	return 0;
}

static const struct cost *row_of(const char *program, const char *features)
{
	char key[96];
	size_t i;

	snprintf(key, sizeof(key), "%s %s %s", place(), program, features);
	for (i = 0; i < rows; i++)
		if (!strcmp(now[i].key, key))
			return &now[i].cost;
	fail_msg("%s was not measured", key);
	return NULL;
}

/* --- the record ---------------------------------------------------------------- */

/* One line: its key in key[], and its numbers; false: it is a comment, or blank. */
static bool parse(const char *line, char key[96], struct cost *cost)
{
	char word[5][32];

	if (sscanf(line, "%31s %31s %31s %31s %31s %u %u %u %u", word[0], word[1],
		   word[2], word[3], word[4], &cost->steps, &cost->stack, &cost->xlated,
		   &cost->jited) != 9)
		return false;
	snprintf(key, 96, "%.16s %.16s %.16s %.16s %.16s", word[0], word[1], word[2],
		 word[3], word[4]);
	return true;
}

static bool recorded(const char *key, struct cost *cost)
{
	_file_ FILE *file = fopen(RECORD, "re");
	char line[256], found[96];

	while (file && fgets(line, sizeof(line), file))
		if (parse(line, found, cost) && !strcmp(found, key))
			return true;
	return false;
}

static int write_record(void)
{
	_file_ FILE *file = fopen(RECORD, "re");
	FILE *out = fopen(RECORD ".new", "we");
	char line[256], key[96];
	struct cost cost;
	size_t i;

	if (!out)
		return 1;
	if (!file)
		fputs("# compiler kernel machine program features: the verifier's "
		      "steps, "
		      "bytes of stack,\n# bytes of the program, and of its native "
		      "code. `make budget` writes it anew.\n",
		      out);
	while (file && fgets(line, sizeof(line), file))
		if (!parse(line, key, &cost) || strncmp(key, place(), strlen(place())))
			fputs(line, out);
	for (i = 0; i < rows; i++)
		fprintf(out, "%-54s %7u %4u %6u %6u\n", now[i].key, now[i].cost.steps,
			now[i].cost.stack, now[i].cost.xlated, now[i].cost.jited);
	if (fclose(out))
		return 1;
	return rename(RECORD ".new", RECORD) ? 1 : 0;
}

/* --- the tests ------------------------------------------------------------------- */

static void no_program_takes_more_than_its_share_of_the_kernels_limits(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < rows; i++)
		if (now[i].cost.steps > STEPS_MOST || now[i].cost.stack > STACK_MOST)
			fail_msg("%s: %u steps and %u bytes of stack; at most %u and "
				 "%u are meant",
				 now[i].key, now[i].cost.steps, now[i].cost.stack,
				 STEPS_MOST, STACK_MOST);
}

static bool grown(const char *key, const char *what, unsigned int was, unsigned int is)
{
	if (is <= was + was / 10)
		return false;
	print_error("%s: %s: %u, and it was %u\n", key, what, is, was);
	return true;
}

static void no_program_has_grown_by_more_than_a_tenth(void **ctx)
{
	struct cost was;
	size_t i, known = 0;
	bool bad = false;

	(void)ctx;
	for (i = 0; i < rows; i++) {
		const struct cost *is = &now[i].cost;

		if (!recorded(now[i].key, &was))
			continue;
		known++;
		bad |= grown(now[i].key, "steps", was.steps, is->steps);
		bad |= grown(now[i].key, "stack", was.stack, is->stack);
		bad |= grown(now[i].key, "program", was.xlated, is->xlated);
		bad |= grown(now[i].key, "native code", was.jited, is->jited);
	}
	if (!known) {
		print_message("%s: nothing is noted for %s; `make budget` notes it\n",
			      RECORD, place());
		skip();
	}
	if (known < rows)
		fail_msg("%zu of %zu programs are not noted: run `make budget`",
			 rows - known, rows);
	if (bad)
		fail_msg("where that is meant to be, `make budget` notes it anew");
}

/*
 * What a policy does not use is not there. Until Linux 6.8 a function that is not called
 * any more is kept: only that all is more than the least can be seen there.
 */
static void a_feature_that_is_off_is_no_code(void **ctx)
{
	static const char *const programs[] = {
#define X(id, value, name, prog) #prog,
		SHUNT_HOOKS(X)
#undef X
	};
	enum { ALL = 3 };
	static const char *const larger[] = { "ipv6", "sets", "count", [ALL] = "all" };
	size_t i, k;

	(void)ctx;
	for (i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		const struct cost *least;

		if (!strcmp(programs[i], "shunt_nf") && !has_netfilter())
			continue;
		least = row_of(programs[i], "vectors");
		for (k = kernel_is_from(6, 8) ? 0 : ALL; k <= ALL; k++) {
			const struct cost *more = row_of(programs[i], larger[k]);

			assert_true(least->xlated < more->xlated);
			assert_true(least->jited < more->jited);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			no_program_takes_more_than_its_share_of_the_kernels_limits),
		cmocka_unit_test(no_program_has_grown_by_more_than_a_tenth),
		cmocka_unit_test(a_feature_that_is_off_is_no_code),
	};

	if (argc == 2 && !strcmp(argv[1], "--write")) {
		measure(NULL);
		return write_record();
	}
	return cmocka_run_group_tests(tests, measure, NULL);
}
