/* SPDX-License-Identifier: BSD-2-Clause */
/* Every test over every transport; see tests/transport/suite/rig.h. */

/*
 *   conformance [ROW [WORDS]]        only this row, and only tests that have the words
 *   conformance --echo FD URI [PEER] an end in a process of its own (rig_echo_start())
 *
 * Rows run at a time, each in a process and in network namespaces of its own: most of what
 * they do is to wait. Each keeps to one core, for packets that two cores receive may
 * overtake each other. Rows that borrow a guest's NICs (tests/vm/suite/zero-copy) run where
 * they are named.
 */
#include <sched.h>
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
#include "tests/transport/suite/tests.h"

#define TESTS_MAX 128 /* of a row */
#define ROWS_MAX 32
#define DEADLINE_S 300 /* of a row, times SHUNT_PATIENCE */

struct run {
	const struct rig_row *row;
	const struct rig_test *test;
	char name[160];
	char why[256];
	struct rig rig;
};

static struct run runs[TESTS_MAX];
static struct CMUnitTest tests[TESTS_MAX];
static size_t count;
static bool named; /* the row, by who has called us */

static int begin(void **state)
{
	struct run *run = *state;

	run->rig = (struct rig){ .row = run->row, .length = rig_mixed };
	net_open();
	return 0;
}

static void go(void **state)
{
	struct run *run = *state;

	run->test->run(&run->rig);
}

static int end(void **state)
{
	struct run *run = *state;

	rig_close(&run->rig, NEAR);
	rig_close(&run->rig, FAR);
	net_close();
	return 0;
}

/* Why a test is not for a row; NULL: it is. */
static const char *why_not(const struct rig_row *row, const struct rig_test *test)
{
	const struct rig_not *entry;

	if (test->needs & ~row->must || test->not_for & row->must)
		return "";
	for (entry = row->except; entry && entry->test; entry++)
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

	print_message("%s\n", run->why);
	skip();
}

/* Why this machine has it not; NULL: it has. */
static const char *missing(const char *scheme, char *room, size_t bytes)
{
	const struct shunt_transport_ops *const *row = shunt_transport_backends;

	for (; *row; row++)
		if (!strcmp((*row)->scheme, scheme))
			return (*row)->absent ? (*row)->absent(room, bytes) : NULL;
	return "this build has no such backend";
}

/*
 * A row that this machine cannot serve is one skipped test, with the reason; where it is
 * known to be for guests, and nobody has asked for it, a line.
 */
static bool is_here(const struct rig_row *row)
{
	struct run *run = &runs[count];
	char room[256];
	const char *why = missing(row->scheme, room, sizeof(room));

	if (!why)
		return true;
	if (row->guest && !named) {
		printf("%s: not here, but in tests/vm/suite/%s: %s\n", row->name,
		       row->guest, why);
		return false;
	}
	*run = (struct run){ .row = row };
	snprintf(run->why, sizeof(run->why), "%s", why);
	snprintf(run->name, sizeof(run->name), "%s: it is here", row->name);
	tests[count++] = (struct CMUnitTest){ run->name, absent, NULL, NULL, run };
	return false;
}

static void keep_to_a_core(size_t row)
{
	cpu_set_t all, one;
	int i, n;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	n = (int)(row % (size_t)CPU_COUNT(&all));
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			perror("sched_setaffinity");
		return;
	}
}

static int run_row(size_t number, const char *words)
{
	const struct rig_row *row = rig_rows[number];

	alarm(DEADLINE_S * patience());
	keep_to_a_core(number);
	if (!row->shares)
		net_enter();
	if (row->borrows)
		net_borrow();
	net_at(NEAR);
	if (is_here(row)) {
		if (row->shares)
			net_share();
		add_all(row, rig_tests_messages, words);
		add_all(row, rig_tests_buffers, words);
		add_all(row, rig_tests_pressure, words);
		add_all(row, rig_tests_numbers, words);
		add_all(row, rig_tests_peers, words);
		add_all(row, rig_tests_link, words);
		add_all(row, rig_tests_life, words);
		add_all(row, rig_tests_wait, words);
		if (row->own)
			add_all(row, row->own, words);
	}
	fflush(stdout);
	return _cmocka_run_group_tests(row->name, tests, count, NULL, NULL);
}

struct child {
	pid_t pid;
	FILE *said;
};

static struct child start(size_t row)
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
		if (!rig_rows[n]->shares && !rig_rows[n]->borrows)
			children[n] = start(n);
	for (i = 0; i < n; i++) {
		if (rig_rows[i]->borrows)
			continue;
		/* one after the other: they share a namespace */
		if (rig_rows[i]->shares)
			children[i] = start(i);
		fine &= join(&children[i]);
	}
	return !fine;
}

int main(int argc, char **argv)
{
	size_t row = 0;

	libbpf_set_print(NULL);
	if (argc < 2)
		return run_all();
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "--echo"))
		return rig_echo_main(argv[3], argv[2], argc == 5 ? argv[4] : NULL);
	while (rig_rows[row] && strcmp(rig_rows[row]->name, argv[1]) != 0)
		row++;
	named = true;
	return rig_rows[row] ? run_row(row, argc > 2 ? argv[2] : NULL) : 2;
}
