/* SPDX-License-Identifier: BSD-2-Clause */
/* The reply for people: a table for each case, then what is said of the technologies. */
#include <stdio.h>
#include <string.h>

#include "user/apps/bench/bench.h"
#include "user/apps/bench/row.h"
#include "user/base/json.h"

#define NAME_WIDTH 20

/* "epoll/tcp" */
static const char *name_of(const cJSON *row, char text[40])
{
	const char *proto = shunt_json_str(row, "proto");

	snprintf(text, 40, "%.20s%s%.8s", shunt_json_str(row, "contender"),
		 *proto ? "/" : "", proto);
	return text;
}

static bool same_case(const cJSON *a, const cJSON *b)
{
	return !strcmp(shunt_json_str(a, "case"), shunt_json_str(b, "case")) &&
	       shunt_json_u64(a, "size") == shunt_json_u64(b, "size") &&
	       shunt_json_u64(a, "batch") == shunt_json_u64(b, "batch") &&
	       shunt_json_u64(a, "peers") == shunt_json_u64(b, "peers");
}

/* Of a figure in ns as us; "-" where it is not known. Returns text. */
static const char *us(const cJSON *row, const char *figure, char text[24])
{
	double ns = shunt_bench_row_median(row, figure);

	if (ns <= 0)
		return "-";
	snprintf(text, 24, ns < 100000 ? "%.2f" : "%.0f", ns / 1000);
	return text;
}

static const char *range(const cJSON *row, const char *figure, double unit,
			 char text[48])
{
	const cJSON *item = shunt_bench_row_figure(row, figure),
		    *min = shunt_json_get(item, "min"),
		    *max = shunt_json_get(item, "max");
	int places;

	if (!cJSON_IsNumber(min) || !cJSON_IsNumber(max))
		return "";
	/* what a guest sends is thousands, and not millions */
	places = unit < 1e5 ? 2 : min->valuedouble / unit < 0.1 ? 5 : 3;
	snprintf(text, 48, "(%.*f-%.*f)", places, min->valuedouble / unit, places,
		 max->valuedouble / unit);
	return text;
}

static void print_cpu(const cJSON *row, FILE *out)
{
	char text[24];

	fprintf(out, " %7s", us(row, "client_cpu_ns", text));
	fprintf(out, " %7s", us(row, "server_cpu_ns", text));
}

static void print_latency(const cJSON *row, FILE *out)
{
	static const char *const figures[] = { "p99", "p99_9", "p99_99", "max" };
	/* who tells no median tells a mean */
	bool mean = shunt_bench_row_median(row, "p50") <= 0 &&
		    shunt_bench_row_median(row, "mean") > 0;
	const char *middle = mean ? "mean" : "p50";
	char text[24], wide[48];
	size_t i;

	fprintf(out, " %8s%s %-17s", us(row, middle, text), mean ? "m" : " ",
		range(row, middle, 1000, wide));
	for (i = 0; i < 4; i++)
		fprintf(out, " %8s", us(row, figures[i], text));
	fprintf(out, " %6llu", (unsigned long long)shunt_json_u64(row, "lost"));
	print_cpu(row, out);
}

static void print_rate(const cJSON *row, FILE *out)
{
	double requests = (double)shunt_json_u64(row, "requests"),
	       rate = shunt_bench_row_median(row, "messages_per_s") / 1e6;
	char wide[48];

	fprintf(out, " %9.*f %-17s %9.1f", rate < 0.1 ? 5 : 3, rate,
		range(row, "messages_per_s", 1e6, wide),
		shunt_bench_row_median(row, "bytes_per_s") / 1e6);
	if (requests > 0)
		fprintf(out, " %6.2f%%",
			(double)shunt_json_u64(row, "lost") / requests * 100);
	else
		fprintf(out, " %7s", "-");
	print_cpu(row, out);
}

static void print_head(const cJSON *row, FILE *out)
{
	const char *kind = shunt_json_str(row, "case");
	unsigned long long size = shunt_json_u64(row, "size"),
			   peers = shunt_json_u64(row, "peers"),
			   batch = shunt_json_u64(row, "batch");
	bool one_way = !strcmp(kind, "one-way");

	fprintf(out, "\n%s, %llu bytes", kind, size);
	if (peers > 1)
		fprintf(out, ", %llu peers, each with one request on its way", peers);
	if (batch > 1)
		fprintf(out, ", %llu messages handed over together", batch);
	if (!strcmp(kind, "open-loop"))
		fprintf(out, ", %llu requests a second, times from when they were due",
			(unsigned long long)shunt_json_u64(row, "rate"));
	fprintf(out, "\n  %-*s %-8s", NAME_WIDTH, "", "waits");
	if (one_way)
		fprintf(out, " %9s %-17s %9s %7s", "M/s", "(range)", "MB/s", "lost");
	else
		fprintf(out, " %8s  %-17s %8s %8s %8s %8s %6s", "p50 us", "(range)",
			"p99", "p99.9", "p99.99", "max", "lost");
	fprintf(out, " %7s %7s\n", "CPU cl.", "CPU sv.");
}

static void print_case(const cJSON *reply, const cJSON *first, FILE *out)
{
	bool one_way = !strcmp(shunt_json_str(first, "case"), "one-way");
	const cJSON *row;
	char text[40];

	print_head(first, out);
	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		const char *error = shunt_json_str(row, "error"),
			   *clients = shunt_json_str(row, "clients");

		if (!same_case(row, first))
			continue;
		fprintf(out, "  %-*s %-8s", NAME_WIDTH, name_of(row, text),
			shunt_json_str(row, "wait"));
		if (*error) {
			fprintf(out, " %s\n", error);
			continue;
		}
		if (one_way)
			print_rate(row, out);
		else
			print_latency(row, out);
		fprintf(out, "%s%s\n", *clients ? "  asked by " : "", clients);
	}
}

static void print_cases(const cJSON *reply, FILE *out)
{
	const cJSON *rows = shunt_json_get(reply, "rows"), *row, *before;

	cJSON_ArrayForEach(row, rows)
	{
		bool first = true;

		for (before = rows->child; first && before != row;
		     before = before->next)
			first = !same_case(before, row);
		if (first)
			print_case(reply, row, out);
	}
}

/* "1.23x (1.10-1.31)" with as many places as tell something. */
static void print_stat(const cJSON *stat, FILE *out)
{
	const cJSON *median = shunt_json_get(stat, "median"),
		    *min = shunt_json_get(stat, "min"),
		    *max = shunt_json_get(stat, "max");
	int places;

	if (!cJSON_IsNumber(median) || !cJSON_IsNumber(min) || !cJSON_IsNumber(max))
		return;
	places = median->valuedouble < 10 ? 2 : median->valuedouble < 100 ? 1 : 0;
	fprintf(out, " %6.*fx (%.*f-%.*f)", places, median->valuedouble, places,
		min->valuedouble, places, max->valuedouble);
}

static void print_ratio(const cJSON *ratio, FILE *out)
{
	const cJSON *beside = shunt_json_get(ratio, "beside");
	unsigned long long batch = shunt_json_u64(ratio, "batch"),
			   peers = shunt_json_u64(ratio, "peers");
	char text[40], what[80];
	int at = snprintf(what, sizeof(what), "%s, %llu bytes",
			  shunt_json_str(ratio, "case"),
			  (unsigned long long)shunt_json_u64(ratio, "size"));

	if (batch > 1)
		snprintf(what + at, sizeof(what) - (size_t)at, ", %llu together",
			 batch);
	if (peers > 1)
		snprintf(what + at, sizeof(what) - (size_t)at, ", %llu peers", peers);
	fprintf(out, "  %-*s %-8s", NAME_WIDTH, name_of(ratio, text),
		shunt_json_str(ratio, "wait"));
	fprintf(out, " %-18s %-5s %-34s", name_of(beside, text),
		shunt_json_str(beside, "wait"), what);
	print_stat(shunt_json_get(ratio, "ratio"), out);
	fprintf(out, "\n");
}

static void print_ratios(const cJSON *reply, FILE *out)
{
	const cJSON *list = shunt_json_get(reply, "ratios"), *item;

	if (!cJSON_GetArraySize(list))
		return;
	fprintf(out, "\nBeside others: medians (range) of ratios within a round; of "
		     "times, less than 1 is faster, of one-way rates, more\n");
	cJSON_ArrayForEach(item, list)
	{
		print_ratio(item, out);
	}
}

static void print_claim(const cJSON *claim, FILE *out)
{
	const char *why_not = shunt_json_str(claim, "why_not");
	const cJSON *item;
	char text[40];

	fprintf(out, "  %-22s %-18s %s\n", shunt_json_str(claim, "technology"),
		shunt_json_str(claim, "says"), why_not);
	cJSON_ArrayForEach(item, shunt_json_get(claim, "measured"))
	{
		const cJSON *ns = shunt_json_get(item, "p50_ns"),
			    *percent = shunt_json_get(item, "percent");

		fprintf(out, "  %-41s %-16s %-8s", "", name_of(item, text),
			shunt_json_str(item, "wait"));
		if (ns)
			fprintf(out, " %9.2f us", ns->valuedouble / 1000);
		if (percent)
			fprintf(out, " %9.1f %%", percent->valuedouble);
		fprintf(out, "  %s\n", shunt_json_str(item, "verdict"));
	}
}

static void print_list(const cJSON *reply, const char *key, const char *title,
		       FILE *out)
{
	const cJSON *list = shunt_json_get(reply, key), *item;
	char text[40], name[64];

	if (!cJSON_GetArraySize(list))
		return;
	fprintf(out, "\n%s\n", title);
	cJSON_ArrayForEach(item, list)
	{
		const char *wait = shunt_json_str(item, "wait");

		snprintf(name, sizeof(name), "%s%s%s", name_of(item, text),
			 *wait ? ", " : "", wait);
		fprintf(out, "  %-*s %s\n", NAME_WIDTH, name,
			shunt_json_str(item, "why"));
	}
}

static void print_rdma(const cJSON *reply, FILE *out)
{
	const cJSON *rdma = shunt_json_get(reply, "rdma"),
		    *client = shunt_json_get(rdma, "client"),
		    *server = shunt_json_get(rdma, "server");

	if (rdma)
		fprintf(out, "RDMA between %s (%s) and %s (%s)\n",
			shunt_json_str(client, "device"),
			shunt_json_str(client, "address"),
			shunt_json_str(server, "device"),
			shunt_json_str(server, "address"));
}

void shunt_bench_print(const cJSON *reply, FILE *out)
{
	const cJSON *item;

	fprintf(out,
		"%s, %llu cores, Linux %s, shunt %s; %s; %llu rounds of %llu ms, "
		"medians (range)\n",
		shunt_json_str(reply, "cpu"),
		(unsigned long long)shunt_json_u64(reply, "cores"),
		shunt_json_str(reply, "kernel"), shunt_json_str(reply, "version"),
		!strcmp(shunt_json_str(reply, "place"), "peer")
			? shunt_json_str(reply, "peer")
			: "two network namespaces and a veth",
		(unsigned long long)shunt_json_u64(reply, "rounds"),
		(unsigned long long)shunt_json_u64(reply, "duration_ms"));
	print_rdma(reply, out);
	print_cases(reply, out);
	print_ratios(reply, out);
	print_list(reply, "failed", "Did not go through", out);
	print_list(reply, "absent", "Not here", out);
	fprintf(out,
		"\nWhat is said, and what was measured here: median round trips of 64 "
		"bytes\n");
	cJSON_ArrayForEach(item, shunt_json_get(reply, "claims"))
	{
		print_claim(item, out);
	}
	fprintf(out, "\n");
	cJSON_ArrayForEach(item, shunt_json_get(reply, "notes"))
	{
		fprintf(out, "* %s\n", item->valuestring);
	}
}
