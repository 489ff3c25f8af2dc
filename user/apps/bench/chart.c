/* SPDX-License-Identifier: BSD-2-Clause */
/* The chart: distributions by percentile, drawn as HdrHistogram's plots are. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/apps/bench/reply.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/*
 * Both axes are logarithmic: to the right the share of requests that take longer becomes
 * ten times smaller a step, so that the tail has as much room as the middle.
 */
static const char preamble[] =
	"set terminal %s size 1100,%d %s\n"
	"set output '%s'\n"
	"set multiplot layout %d,1 title \"%s\"\n"
	"set logscale xy\n"
	"set format y '%%g'\n"
	"set xlabel 'percentile'\n"
	"set ylabel 'round trip, us'\n"
	"set xtics ('0' 1, '50' 2, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, "
	"'99.999' 100000)\n"
	"set grid\n"
	"set key outside right\n";

/* The first wait of a contender is drawn: the others would hide it. */
static const char *wait_of(const cJSON *reply)
{
	const cJSON *rows = shunt_json_get(reply, "rows");

	return rows && rows->child ? shunt_json_str(rows->child, "wait") : "";
}

static bool is_drawn(const cJSON *row, const char *kind, uint64_t size,
		     const char *wait)
{
	return !strcmp(shunt_json_str(row, "case"), kind) &&
	       shunt_json_u64(row, "size") == size &&
	       shunt_json_u64(row, "peers") == 1 &&
	       !strcmp(shunt_json_str(row, "wait"), wait) &&
	       cJSON_GetArraySize(shunt_json_get(row, "distribution")) > 0;
}

/* The smallest size of the rows. */
static uint64_t size_of(const cJSON *reply)
{
	uint64_t size = UINT64_MAX;
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		if (shunt_json_u64(row, "size") < size)
			size = shunt_json_u64(row, "size");
	}
	return size;
}

static void put_points(const cJSON *row, FILE *script)
{
	const cJSON *point;

	cJSON_ArrayForEach(point, shunt_json_get(row, "distribution"))
	{
		const cJSON *percent = point->child;

		fprintf(script, "%.9g %.9g\n", 1 / (1 - percent->valuedouble / 100),
			percent->next->valuedouble / 1000);
	}
	fprintf(script, "e\n");
}

/* One panel; false: there is nothing for it. */
static bool put_panel(const cJSON *reply, const char *kind, const char *title,
		      FILE *script)
{
	const char *wait = wait_of(reply), *comma = "plot ";
	unsigned int line = 0;
	uint64_t size = size_of(reply);
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		const char *proto = shunt_json_str(row, "proto");

		if (!is_drawn(row, kind, size, wait))
			continue;
		if (*comma == 'p')
			fprintf(script, "set title \"%s, %llu bytes, wait=%s\"\n",
				title, (unsigned long long)size, wait);
		/* there are eight colours: from the ninth on they come again, dashed */
		fprintf(script,
			"%s'-' using 1:2 with lines lw 2 lt %u dt %u title \"%s%s%s\"",
			comma, line % 8 + 1, line / 8 + 1,
			shunt_json_str(row, "contender"), *proto ? "/" : "", proto);
		line++;
		comma = ", ";
	}
	if (*comma == 'p')
		return false;
	fprintf(script, "\n");
	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		if (is_drawn(row, kind, size, wait))
			put_points(row, script);
	}
	return true;
}

static int write_script(const cJSON *reply, const char *path, FILE *script,
			struct shunt_err *err)
{
	bool svg = !strcmp(path + strlen(path) - 4, ".svg");
	char title[256];
	bool any;

	snprintf(title, sizeof(title), "shunt bench transports: %.100s, Linux %.60s",
		 shunt_json_str(reply, "cpu"), shunt_json_str(reply, "kernel"));
	fprintf(script, preamble, svg ? "svg" : "pngcairo", 1000,
		svg ? "dynamic background rgb 'white'" : "", path, 2, title);
	any = put_panel(reply, "round-trip", "closed loop", script);
	any |= put_panel(reply, "open-loop", "open loop, from when it was due", script);
	fprintf(script, "unset multiplot\n");
	return any ? 0
		   : shunt_fail(err, -ENODATA, "chart %s: no distribution was measured",
				path);
}

/* gnuplot reads the script from its standard input; its words are kept. */
static pid_t start_gnuplot(int *to, int *from)
{
	int in[2], out[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return -EMFILE;
	}
	pid = fork();
	if (!pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDERR_FILENO);
		execlp("gnuplot", "gnuplot", "-", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

static int check_path(const char *path, struct shunt_err *err)
{
	size_t bytes = strlen(path);

	if (bytes < 5 ||
	    (strcmp(path + bytes - 4, ".svg") && strcmp(path + bytes - 4, ".png")))
		return shunt_fail(err, -EINVAL,
				  "chart %s: the file's name ends in .svg or .png",
				  path);
	if (strpbrk(path, "'\n\\"))
		return shunt_fail(
			err, -EINVAL,
			"chart %s: quotes and backslashes are not for gnuplot", path);
	return 0;
}

int shunt_bench_chart(const cJSON *reply, const char *path, struct shunt_err *err)
{
	int to = -1, from = -1, status = 0, ret = check_path(path, err);
	char said[512] = "";
	struct stat st;
	FILE *script;
	pid_t pid;
	ssize_t n;

	if (ret)
		return ret;
	pid = start_gnuplot(&to, &from);
	if (pid < 0)
		return shunt_fail_errno(err, pid, "chart %s: start gnuplot", path);
	_fd_ int words = from;
	script = fdopen(to, "w");
	signal(SIGPIPE, SIG_IGN); /* a gnuplot that is not there hangs up */
	ret = script ? write_script(reply, path, script, err) : -ENOMEM;
	if (script)
		fclose(script);
	n = read(words, said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return shunt_fail(err, -ENOENT,
				  "chart %s: gnuplot is not installed; package "
				  "gnuplot-nox has it",
				  path);
	if (!ret && (status || stat(path, &st) || !st.st_size))
		return shunt_fail(err, -EIO, "chart %s: gnuplot: %s", path, said);
	return ret;
}
