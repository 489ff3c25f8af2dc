/* SPDX-License-Identifier: BSD-2-Clause */
/* Every test over every backend; see tests/io/suite/rig.h. */

/*
 *   conformance [BACKEND [WORDS]]     only this row, and only tests that have the words
 *
 * Rows that borrow a guest's NICs (tests/vm/suite/zero-copy) run where they are named.
 *
 * Rows run at a time, each in a process and a network namespace of its own: most of what
 * they do is to wait for the kernel.
 *
 * What is not tried: rings whose 32-bit indices wrap. The kernel sets them, and lets nobody
 * else; a ring's own arithmetic is tried where it can be (tests/unit).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/libbpf.h>

#include "tests/patience.h"
#include "tests/io/suite/tests.h"

#define TESTS_MAX 128 /* of a row */
#define ROWS_MAX 32
#define DEADLINE_S 300 /* of a row, times SHUNT_PATIENCE */
#define MEMORY_FRAMES 4096

struct run {
	const struct rig_row *row;
	const struct rig_test *test;
	char name[128];
	struct rig rig;
};

static struct run runs[TESTS_MAX];
static struct CMUnitTest tests[TESTS_MAX];
static size_t count;

static int begin(void **state)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts),
						.frames = MEMORY_FRAMES };
	struct run *run = *state;

	run->rig = (struct rig){ .row = run->row, .length = rig_mixed };
	run->rig.mtu = run->test->jumbo ? run->row->jumbo - 14 : WIRE_MTU;
	if (shunt_memory_open(&run->rig.memory, &opts, NULL))
		return -1;
	if (run->row->begin(&run->rig))
		return 0;
	print_error("%s\n", run->rig.why);
	run->row->end(&run->rig);
	return -1;
}

static void go(void **state)
{
	struct run *run = *state;

	run->test->run(&run->rig);
}

static int end(void **state)
{
	struct run *run = *state;

	rig_close(&run->rig);
	run->row->end(&run->rig);
	shunt_memory_close(run->rig.memory);
	return 0;
}

/* Why a test is not for a row; NULL: it is. */
static const char *why_not(const struct rig_row *row, const struct rig_test *test)
{
	const struct rig_not *entry;

	if (test->needs & ~row->can)
		return "";
	for (entry = row->except; entry->test; entry++)
		if (!strcmp(entry->test, test->name))
			return entry->why;
	return NULL;
}

static void add_all(const struct rig_row *row, const struct rig_test *test,
		    const char *words)
{
	for (; test->name; test++) {
		const char *why = why_not(row, test);
		struct run *run = &runs[count];

		if (words && !strstr(test->name, words))
			continue;
		if (why) {
			if (*why)
				printf("%s: not \"%s\": %s\n", row->name, test->name,
				       why);
			continue;
		}
		*run = (struct run){ .row = row, .test = test };
		snprintf(run->name, sizeof(run->name), "%s: %s", row->name, test->name);
		tests[count++] = (struct CMUnitTest){ run->name, go, begin, end, run };
	}
}

static void absent(void **state)
{
	const struct run *run = *state;

	print_message("%s\n", run->rig.why);
	skip();
}

/* A row that this machine cannot serve is one skipped test, with the reason. */
static bool is_here(const struct rig_row *row)
{
	struct run *run = &runs[count];
	bool here;

	*run = (struct run){ .row = row, .rig = { .row = row, .mtu = WIRE_MTU } };
	here = row->begin(&run->rig);
	row->end(&run->rig);
	if (here)
		return true;
	snprintf(run->name, sizeof(run->name), "%s: it is here", row->name);
	tests[count++] = (struct CMUnitTest){ run->name, absent, NULL, NULL, run };
	return false;
}

/* Its NICs, or veths that are made as they are wanted. */
static bool enter(const struct rig_row *row)
{
	if (row->borrows)
		return wire_borrow();
	wire_enter();
	return true;
}

static int run_row(const struct rig_row *row, const char *words)
{
	int ret;

	alarm(DEADLINE_S * patience());
	if (!enter(row)) {
		print_error("%s: SHUNT_NICS names no NICs to be had\n", row->name);
		return 1;
	}
	if (is_here(row)) {
		add_all(row, rig_tests_rx, words);
		add_all(row, rig_tests_tx, words);
		add_all(row, rig_tests_life, words);
	}
	fflush(stdout);
	ret = _cmocka_run_group_tests(row->name, tests, count, NULL, NULL);
	wire_return();
	return ret;
}

struct child {
	pid_t pid;
	FILE *said;
};

static struct child start(const struct rig_row *row)
{
	struct child child = { .said = tmpfile() };

	fflush(stdout);
	child.pid = child.said ? fork() : -1;
	if (child.pid)
		return child;
	dup2(fileno(child.said), STDOUT_FILENO);
	dup2(fileno(child.said), STDERR_FILENO);
	exit(run_row(row, NULL));
}

/* What it has said, and whether all went well. */
static bool join(const struct child *child)
{
	char bytes[4096];
	int status = -1;
	size_t n;

	if (child->pid < 0 || waitpid(child->pid, &status, 0) < 0)
		return false;
	rewind(child->said);
	while ((n = fread(bytes, 1, sizeof(bytes), child->said)))
		fwrite(bytes, 1, n, stdout);
	fclose(child->said);
	if (status)
		printf("this row ended with status %#x\n", (unsigned int)status);
	return !status;
}

static int run_all(void)
{
	struct child children[ROWS_MAX];
	bool fine = true;
	size_t i, n = 0;

	for (; rig_rows[n]; n++)
		if (!rig_rows[n]->borrows)
			children[n] = start(rig_rows[n]);
	for (i = 0; i < n; i++)
		fine &= rig_rows[i]->borrows || join(&children[i]);
	return !fine;
}

int main(int argc, char **argv)
{
	const struct rig_row *const *row = rig_rows;

	libbpf_set_print(NULL);
	if (argc < 2)
		return run_all();
	while (*row && strcmp((*row)->name, argv[1]) != 0)
		row++;
	return *row ? run_row(*row, argc > 2 ? argv[2] : NULL) : 2;
}
