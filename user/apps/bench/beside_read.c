/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/beside_read.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is shown of a text that is not understood. */
#define QUOTED 160

static int not_understood(const char *what, const char *text, struct shunt_err *err)
{
	char quoted[QUOTED + 1];
	size_t i, bytes = strlen(text), from = bytes > QUOTED ? bytes - QUOTED : 0;

	/* the end tells most: that is where a program says why it gave up */
	for (i = 0; text[from + i]; i++)
		quoted[i] =
			isprint((unsigned char)text[from + i]) ? text[from + i] : ' ';
	quoted[i] = '\0';
	return shunt_fail(err, -EBADMSG, "%s in what it printed: \"%s\"", what, quoted);
}

/* The number right behind these words (blanks in between), which is not negative. */
static bool number_behind(const char *text, const char *words, double *number)
{
	const char *at = text ? strstr(text, words) : NULL;
	char *end;

	if (!at)
		return false;
	at += strlen(words);
	*number = strtod(at, &end);
	return end != at && *number >= 0 && *number < 1e15;
}

int shunt_bench_read_sockperf_turns(const char *client, const char *server,
				    uint32_t size, struct shunt_bench_round *round,
				    struct shunt_err *err)
{
	static const struct {
		const char *words;
		enum shunt_bench_figure figure;
	} told[] = {
		{ "<MIN> observation =", SHUNT_BENCH_MIN },
		{ "avg-rtt=", SHUNT_BENCH_MEAN },
		{ "percentile 50.000 =", SHUNT_BENCH_P50 },
		{ "percentile 90.000 =", SHUNT_BENCH_P90 },
		{ "percentile 99.000 =", SHUNT_BENCH_P99 },
		{ "percentile 99.900 =", SHUNT_BENCH_P99_9 },
		{ "percentile 99.990 =", SHUNT_BENCH_P99_99 },
		{ "<MAX> observation =", SHUNT_BENCH_MAX },
	};
	double us;
	size_t i;

	(void)server;
	for (i = 0; i < sizeof(told) / sizeof(*told); i++) {
		char missing[64];

		snprintf(missing, sizeof(missing), "no \"%s\"", told[i].words);
		if (!number_behind(client, told[i].words, &us))
			return not_understood(missing, client, err);
		shunt_bench_know(round, told[i].figure, us * 1000);
	}
	/* of the observations, as the run has a warm-up that it leaves out */
	if (!number_behind(client, "[Valid Duration] RunTime=", &us) || us <= 0)
		return not_understood("no valid duration", client, err);
	if (!number_behind(strstr(client, "[Valid Duration]"),
			   "ReceivedMessages=", &round->value[SHUNT_BENCH_MESSAGES]))
		return not_understood("no received messages", client, err);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES,
			 round->value[SHUNT_BENCH_MESSAGES] / us);
	shunt_bench_know(round, SHUNT_BENCH_BYTES,
			 round->value[SHUNT_BENCH_MESSAGES] * size);
	return 0;
}

/* The client tells what it sent and in what time, the server what it received. */
int shunt_bench_read_sockperf_flow(const char *client, const char *server,
				   uint32_t size, struct shunt_bench_round *round,
				   struct shunt_err *err)
{
	double sent, seconds, received;

	if (!number_behind(client, "Total of", &sent) ||
	    !number_behind(client, "messages sent in", &seconds) || seconds <= 0)
		return not_understood("no \"Total of … messages sent in …\"", client,
				      err);
	if (!number_behind(server, "sockperf: Total", &received) ||
	    !strstr(server, "messages received and handled"))
		return not_understood("no \"Total … messages received and handled\"",
				      server, err);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, received / seconds);
	shunt_bench_know(round, SHUNT_BENCH_BYTES, received / seconds * size);
	return 0;
}

/* "4k", "250k", "2m": in powers of ten, or plain. */
static bool is_amount(const char *word)
{
	char *end;

	strtod(word, &end);
	return end != word && (!*end || (strchr("kmgt", *end) && !end[1]));
}

/*
 * bytes   #sent   #ack     total       time     MB/sec    usec/xfer   Mxfers/sec
 * 64      2k      =2k      250k        0.03s      9.39       6.82       0.15
 *
 * A transfer is half a round trip.
 */
int shunt_bench_read_fi_pingpong(const char *client, const char *server, uint32_t size,
				 struct shunt_bench_round *round, struct shunt_err *err)
{
	const char *head = strstr(client, "bytes   #sent"),
		   *line = head ? strchr(head, '\n') : NULL;
	char bytes[32], sent[32];
	double time, rate, us;

	(void)server;
	if (!line ||
	    sscanf(line + 1, "%31s %31s =%*s %*s %lfs %lf %lf", bytes, sent, &time,
		   &rate, &us) != 5 ||
	    !is_amount(bytes) || !is_amount(sent) || !(us > 0 && us < 1e9))
		return not_understood("no line of figures", client, err);
	shunt_bench_know(round, SHUNT_BENCH_MEAN, us * 2 * 1000);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, 1e6 / (us * 2));
	shunt_bench_know(round, SHUNT_BENCH_BYTES, 1e6 / (us * 2) * size);
	return 0;
}

/*
 * The last line has eight figures: iterations; 50 %, average and overall latency or
 * overhead (us); average and overall bandwidth; average and overall rate (1/s).
 */
static int read_ucx(const char *client, const char *third_head, double figure[8],
		    struct shunt_err *err)
{
	const char *head = strstr(client, third_head), *at;
	size_t i;

	if (!head || !strstr(head, "50.0%ile | average | overall"))
		return not_understood("no head of the table", client, err);
	at = client + strlen(client);
	while (at > head && isspace((unsigned char)at[-1]))
		at--;
	while (at > head && at[-1] != '\n')
		at--;
	for (i = 0; i < 8; i++) {
		char *end;

		figure[i] = strtod(at, &end);
		if (end == at || !(figure[i] >= 0 && figure[i] < 1e15))
			return not_understood("no line of eight figures", client, err);
		at = end;
	}
	return figure[0] > 0 ? 0 : not_understood("no iterations", client, err);
}

int shunt_bench_read_ucx_turns(const char *client, const char *server, uint32_t size,
			       struct shunt_bench_round *round, struct shunt_err *err)
{
	double figure[8] = { 0 };
	int ret = read_ucx(client, "latency (usec)", figure, err);

	(void)server;
	if (ret)
		return ret;
	if (figure[3] <= 0)
		return not_understood("a latency of 0", client, err);
	shunt_bench_know(round, SHUNT_BENCH_P50, figure[1] * 2 * 1000);
	shunt_bench_know(round, SHUNT_BENCH_MEAN, figure[3] * 2 * 1000);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, 1e6 / (figure[3] * 2));
	shunt_bench_know(round, SHUNT_BENCH_BYTES, 1e6 / (figure[3] * 2) * size);
	return 0;
}

int shunt_bench_read_ucx_flow(const char *client, const char *server, uint32_t size,
			      struct shunt_bench_round *round, struct shunt_err *err)
{
	double figure[8] = { 0 };
	int ret = read_ucx(client, "overhead (usec)", figure, err);

	(void)server;
	if (ret)
		return ret;
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, figure[7]);
	shunt_bench_know(round, SHUNT_BENCH_BYTES, figure[7] * size);
	return 0;
}

/*
 * The line of figures behind the head of perftest's table: the size, how many there were,
 * and more, each not negative.
 */
static int read_perftest(const char *client, const char *head, uint32_t size,
			 double *figure, size_t figures, struct shunt_err *err)
{
	const char *at = strstr(client, head), *end_of_line;
	size_t i;

	at = at ? strchr(at, '\n') : NULL;
	if (!at)
		return not_understood("no head of the table", client, err);
	/* the last figure is whole where the line is */
	end_of_line = strchr(at + 1, '\n');
	if (!end_of_line)
		return not_understood("no line of figures", client, err);
	for (i = 0; i < figures; i++) {
		char *end;

		figure[i] = strtod(at, &end);
		if (end == at || end > end_of_line ||
		    !(figure[i] >= 0 && figure[i] < 1e15))
			return not_understood("no line of figures", client, err);
		at = end;
	}
	if (figure[0] != size || figure[1] < 1)
		return not_understood("figures of something else", client, err);
	return 0;
}

/*
 *  #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec] …
 *  64      1000          58.42          100297.88      592.62   	       2060.65 …
 *
 * Then the deviation, 99 % and 99.9 %. A time is half of a round trip; t_typical is the
 * median.
 */
int shunt_bench_read_perftest_turns(const char *client, const char *server,
				    uint32_t size, struct shunt_bench_round *round,
				    struct shunt_err *err)
{
	static const struct {
		size_t place;
		enum shunt_bench_figure figure;
	} told[] = {
		{ 2, SHUNT_BENCH_MIN }, { 3, SHUNT_BENCH_MAX },
		{ 4, SHUNT_BENCH_P50 }, { 5, SHUNT_BENCH_MEAN },
		{ 7, SHUNT_BENCH_P99 }, { 8, SHUNT_BENCH_P99_9 },
	};
	double figure[9] = { 0 };
	int ret = read_perftest(client, "t_typical[usec]    t_avg[usec]", size, figure,
				9, err);
	size_t i;

	(void)server;
	if (ret)
		return ret;
	if (figure[5] <= 0)
		return not_understood("a latency of 0", client, err);
	for (i = 0; i < sizeof(told) / sizeof(*told); i++)
		shunt_bench_know(round, told[i].figure,
				 figure[told[i].place] * 2 * 1000);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, 1e6 / (figure[5] * 2));
	shunt_bench_know(round, SHUNT_BENCH_BYTES, 1e6 / (figure[5] * 2) * size);
	return 0;
}

/*
 *  #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]
 *  64         5000             1.75               0.31   		   0.005029
 *
 * Newer ones write MiB, which is what they mean.
 */
int shunt_bench_read_perftest_flow(const char *client, const char *server,
				   uint32_t size, struct shunt_bench_round *round,
				   struct shunt_err *err)
{
	double figure[5] = { 0 };
	int ret = read_perftest(client, "MsgRate[Mpps]", size, figure, 5, err);

	(void)server;
	if (ret)
		return ret;
	if (figure[4] <= 0)
		return not_understood("a rate of 0", client, err);
	shunt_bench_know(round, SHUNT_BENCH_MESSAGES, figure[4] * 1e6);
	shunt_bench_know(round, SHUNT_BENCH_BYTES, figure[4] * 1e6 * size);
	return 0;
}
