/* SPDX-License-Identifier: BSD-2-Clause */
/* What others' programs print, word for word, and what of it is not understood. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "user/apps/bench/beside_read.h"

static const char sockperf_turns[] =
	"sockperf: \033[2;35m== version #3.7-no.git == \033[0m\n"
	"sockperf[CLIENT] send on:sockperf: using recvfrom() to block on socket(s)\n\n"
	"[ 0] IP = 127.0.0.1       PORT =  5001 # UDP\n"
	"sockperf: Warmup stage (sending a few dummy messages)...\n"
	"sockperf: Starting test...\n"
	"sockperf: Test end (interrupted by timer)\n"
	"sockperf: Test ended\n"
	"sockperf: [Total Run] RunTime=1.000 sec; Warm up time=400 msec; "
	"SentMessages=57163; ReceivedMessages=57162\n"
	"sockperf: ========= Printing statistics for Server No: 0\n"
	"sockperf: [Valid Duration] RunTime=0.500 sec; SentMessages=33051; "
	"ReceivedMessages=33050\n"
	"sockperf: \033[2;35m====> avg-rtt=16.660 (std-dev=142.366)\033[0m\n"
	"sockperf: # dropped messages = 0; # duplicated messages = 0; # out-of-order "
	"messages = 0\n"
	"sockperf: Summary: Round trip is 16.660 usec\n"
	"sockperf: \033[2;35mTotal 33051 observations\033[0m; each percentile contains "
	"330.51 observations\n"
	"sockperf: ---> <MAX> observation = 5654.178\n"
	"sockperf: ---> percentile 99.999 = 5654.178\n"
	"sockperf: ---> percentile 99.990 = 3891.325\n"
	"sockperf: ---> percentile 99.900 = 2757.301\n"
	"sockperf: ---> percentile 99.000 =   41.531\n"
	"sockperf: ---> percentile 90.000 =   10.124\n"
	"sockperf: ---> percentile 75.000 =    9.143\n"
	"sockperf: ---> percentile 50.000 =    8.302\n"
	"sockperf: ---> percentile 25.000 =    7.911\n"
	"sockperf: ---> <MIN> observation =    7.200\n";

static const char sockperf_flow[] =
	"sockperf: Test end (interrupted by timer)\n"
	"sockperf: Test ended\n"
	"sockperf: Total of 219437 messages sent in 1.010 sec\n\n"
	"sockperf: \033[2;35mNOTE: test was performed, using msg-size=64. For getting "
	"maximum throughput consider using --msg-size=1472\033[0m\n"
	"sockperf: Summary: Message Rate is 217335 [msg/sec]\n";

static const char sockperf_server[] =
	"sockperf: [tid 25916] using recvfrom() to block on socket(s)\n"
	"sockperf: Test end (interrupted by user)\n"
	"sockperf: Total 101000 messages received and handled\n"
	"sockperf: cleanupAfterLoop() exit\n";

static const char fi_pingpong[] =
	"bytes   #sent   #ack     total       time     MB/sec    usec/xfer   "
	"Mxfers/sec\n"
	"64      2k      =2k      250k        0.03s      9.39       6.82       0.15\n";

#define UCX_HEAD(third)                                                                \
	"+--------------+--------------+------------------------------+------------\n" \
	"|              |              |       " third                                 \
	"        |   bandwidth (MB/s)  |  message rate (msg/s) |\n"                    \
	"|     Test     | # iterations | 50.0%ile | average | overall |  average |  "  \
	"overall |  average  |  overall  |\n"                                          \
	"+--------------+--------------+------------------------------+------------\n"

static const char ucx_turns[] =
	UCX_HEAD("latency (usec)") "                       20000      4.768    22.889  "
				   "  22.889        2.67       "
				   "2.67       43690       43690\n";

static const char ucx_flow[] =
	UCX_HEAD("overhead (usec)") "                       50000      4.963     3.196 "
				    "    3.196       19.10      "
				    "19.10      312877      312877\n";

#define PERFTEST_TURNS                                                                 \
	" #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    "       \
	"t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% "                 \
	"percentile[usec] \n"

static const char perftest_turns[] =
	"------------------------------------------------------------------------------"
	"---------\n"
	"                    Send Latency Test\n"
	" Dual-port       : OFF\t\tDevice         : rxe-ta\n"
	" Number of qps   : 1\t\tTransport type : IB\n"
	" Connection type : RC\t\tUsing SRQ      : OFF\n"
	" PCIe relax order: ON\n"
	" ibv_wr* API     : OFF\n"
	" TX depth        : 1\n"
	" Mtu             : 1024[B]\n"
	" Link type       : Ethernet\n"
	" GID index       : 1\n"
	" Max inline data : 0[B]\n"
	" rdma_cm QPs\t : OFF\n"
	" Data ex. method : Ethernet\n"
	"------------------------------------------------------------------------------"
	"---------\n"
	" local address: LID 0000 QPN 0x0011 PSN 0x8d1256\n"
	" GID: 00:00:00:00:00:00:00:00:00:00:255:255:192:00:02:01\n"
	" remote address: LID 0000 QPN 0x0011 PSN 0x902f2a\n"
	" GID: 00:00:00:00:00:00:00:00:00:00:255:255:192:00:02:02\n"
	"------------------------------------------------------------------------------"
	"---------\n"
	" #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    "
	"t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] "
	"\n"
	" 64      1000          58.42          100297.88      592.62   \t       "
	"2060.65     \t3422.16\t\t14912.62 \t\t100297.88\n"
	"------------------------------------------------------------------------------"
	"---------\n";

static const char perftest_flow[] =
	"------------------------------------------------------------------------------"
	"---------\n"
	"                    Send BW Test\n"
	" Dual-port       : OFF\t\tDevice         : rxe-ta\n"
	" Number of qps   : 1\t\tTransport type : IB\n"
	" Connection type : RC\t\tUsing SRQ      : OFF\n"
	" PCIe relax order: ON\n"
	" ibv_wr* API     : OFF\n"
	" TX depth        : 128\n"
	" CQ Moderation   : 100\n"
	" Mtu             : 1024[B]\n"
	" Link type       : Ethernet\n"
	" GID index       : 1\n"
	" Max inline data : 0[B]\n"
	" rdma_cm QPs\t : OFF\n"
	" Data ex. method : Ethernet\n"
	"------------------------------------------------------------------------------"
	"---------\n"
	" local address: LID 0000 QPN 0x0014 PSN 0xccd2ed\n"
	" GID: 00:00:00:00:00:00:00:00:00:00:255:255:192:00:02:01\n"
	" remote address: LID 0000 QPN 0x0014 PSN 0xea40b2\n"
	" GID: 00:00:00:00:00:00:00:00:00:00:255:255:192:00:02:02\n"
	"------------------------------------------------------------------------------"
	"---------\n"
	" #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   "
	"MsgRate[Mpps]\n"
	" 64         5000             1.75               0.31   \t\t   0.005029\n"
	"------------------------------------------------------------------------------"
	"---------\n";

/* With -D: it has nothing but a mean then. */
static const char perftest_for_a_time[] =
	"------------------------------------------------------------------------------"
	"---------\n"
	" #bytes        #iterations       t_avg[usec]    tps average\n"
	" 1400          159            3164.88        157.98 \n"
	"------------------------------------------------------------------------------"
	"---------\n";

static const char perftest_refused[] =
	" Max message size in UD cannot be greater than MTU \n"
	" Couldn't get context for the device\n";

static void expect(const struct shunt_bench_round *round,
		   enum shunt_bench_figure figure, double value)
{
	assert_true(round->known & 1u << figure);
	assert_true(round->value[figure] > value * 0.9999 &&
		    round->value[figure] < value * 1.0001);
}

static void sockperf_tells_percentiles_of_round_trips(void **ctx)
{
	struct shunt_bench_round round = { .known = 0 };

	(void)ctx;
	assert_int_equal(shunt_bench_read_sockperf_turns(sockperf_turns, "", 64, &round,
							 NULL),
			 0);
	expect(&round, SHUNT_BENCH_MIN, 7200);
	expect(&round, SHUNT_BENCH_MEAN, 16660);
	expect(&round, SHUNT_BENCH_P50, 8302);
	expect(&round, SHUNT_BENCH_P90, 10124);
	expect(&round, SHUNT_BENCH_P99, 41531);
	expect(&round, SHUNT_BENCH_P99_9, 2757301);
	expect(&round, SHUNT_BENCH_P99_99, 3891325);
	expect(&round, SHUNT_BENCH_MAX, 5654178);
	expect(&round, SHUNT_BENCH_MESSAGES, 66100);
	expect(&round, SHUNT_BENCH_BYTES, 66100 * 64);
}

static void of_a_flow_counts_what_the_server_received(void **ctx)
{
	struct shunt_bench_round round = { .known = 0 };

	(void)ctx;
	assert_int_equal(shunt_bench_read_sockperf_flow(sockperf_flow, sockperf_server,
							1400, &round, NULL),
			 0);
	expect(&round, SHUNT_BENCH_MESSAGES, 100000);
	expect(&round, SHUNT_BENCH_BYTES, 140000000);
	assert_false(round.known & 1u << SHUNT_BENCH_P50);
}

static void half_round_trips_are_doubled(void **ctx)
{
	struct shunt_bench_round round = { .known = 0 };

	(void)ctx;
	assert_int_equal(
		shunt_bench_read_fi_pingpong(fi_pingpong, "", 64, &round, NULL), 0);
	expect(&round, SHUNT_BENCH_MEAN, 13640);
	expect(&round, SHUNT_BENCH_MESSAGES, 1e6 / 13.64);
	assert_false(round.known & 1u << SHUNT_BENCH_P50);
	assert_int_equal(shunt_bench_read_ucx_turns(ucx_turns, "", 64, &round, NULL),
			 0);
	expect(&round, SHUNT_BENCH_P50, 9536);
	expect(&round, SHUNT_BENCH_MEAN, 45778);
	assert_int_equal(shunt_bench_read_ucx_flow(ucx_flow, "", 64, &round, NULL), 0);
	expect(&round, SHUNT_BENCH_MESSAGES, 312877);
}

static void perftest_tells_half_round_trips_and_a_rate(void **ctx)
{
	struct shunt_bench_round round = { .known = 0 };

	(void)ctx;
	assert_int_equal(shunt_bench_read_perftest_turns(perftest_turns, "", 64, &round,
							 NULL),
			 0);
	expect(&round, SHUNT_BENCH_MIN, 116840);
	expect(&round, SHUNT_BENCH_P50, 1185240);
	expect(&round, SHUNT_BENCH_MEAN, 4121300);
	expect(&round, SHUNT_BENCH_P99, 29825240);
	expect(&round, SHUNT_BENCH_P99_9, 200595760);
	expect(&round, SHUNT_BENCH_MAX, 200595760);
	expect(&round, SHUNT_BENCH_MESSAGES, 1e6 / 4121.3);
	assert_false(round.known & (1u << SHUNT_BENCH_P90 | 1u << SHUNT_BENCH_P99_99));
	round.known = 0;
	assert_int_equal(
		shunt_bench_read_perftest_flow(perftest_flow, "", 64, &round, NULL), 0);
	expect(&round, SHUNT_BENCH_MESSAGES, 5029);
	expect(&round, SHUNT_BENCH_BYTES, 5029 * 64);
	assert_false(round.known & 1u << SHUNT_BENCH_P50);
}

static const struct {
	const char *name;
	shunt_bench_read_fn *read;
	const char *client, *server, *says;
} foreign[] = {
	{ "nothing", shunt_bench_read_sockperf_turns, "", "", "observation" },
	{ "a client that was refused", shunt_bench_read_sockperf_turns,
	  "sockperf: ERROR: Can't connect socket (errno=111 Connection refused)\n", "",
	  "Connection refused" },
	{ "a flow that nobody received", shunt_bench_read_sockperf_flow, sockperf_flow,
	  "", "messages received" },
	{ "a flow without a time", shunt_bench_read_sockperf_flow,
	  "sockperf: Total of 5 messages sent in 0.000 sec\n", sockperf_server,
	  "messages sent" },
	{ "another table", shunt_bench_read_fi_pingpong,
	  "bytes   #sent   #ack     total       time     MB/sec    usec/xfer\n"
	  "64      2k      =2k      250k        soon       9.39       6.82\n",
	  "", "figures" },
	{ "a table's head alone", shunt_bench_read_fi_pingpong,
	  "bytes   #sent   #ack     total       time     MB/sec", "", "figures" },
	{ "a latency for a rate", shunt_bench_read_ucx_flow, ucx_turns, "", "head" },
	{ "a line that breaks off", shunt_bench_read_ucx_turns,
	  UCX_HEAD("latency (usec)") " 20000 4.768 22.889\n", "", "eight figures" },
	{ "a negative latency", shunt_bench_read_ucx_turns,
	  UCX_HEAD("latency (usec)") " 20000 4.7 -22.8 22.8 2.6 2.6 43690 43690\n", "",
	  "eight figures" },
	{ "latencies of a run by time", shunt_bench_read_perftest_turns,
	  perftest_for_a_time, "", "head" },
	{ "a size that it cannot send", shunt_bench_read_perftest_flow,
	  perftest_refused, "", "cannot be greater than MTU" },
	{ "a latency for perftest's rate", shunt_bench_read_perftest_flow,
	  perftest_turns, "", "head" },
	{ "the line of another size", shunt_bench_read_perftest_turns,
	  PERFTEST_TURNS " 65 500 1.1 9.2 2.3 2.4 0.5 3.6 4.7\n", "",
	  "something else" },
	{ "a line of perftest's without its end", shunt_bench_read_perftest_turns,
	  PERFTEST_TURNS " 64 500 1.1 9.2 2.3 2.4 0.5 3.6\n---\n", "", "figures" },
	{ "a line that goes on in the next one", shunt_bench_read_perftest_turns,
	  PERFTEST_TURNS " 64 500 1.1 9.2 2.3 2.4 0.5 3.6\n4.7\n", "", "figures" },
	{ "no time at all", shunt_bench_read_perftest_turns,
	  PERFTEST_TURNS " 64 500 0 0 0 0 0 0 0\n", "", "a latency of 0" },
	{ "no iterations", shunt_bench_read_ucx_turns,
	  UCX_HEAD("latency (usec)") " 0 4.7 22.8 22.8 2.6 2.6 43690 43690\n", "",
	  "iterations" },
};

static void what_is_not_understood_is_an_error_that_quotes_it(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		struct shunt_bench_round round = { .known = 0 };
		struct shunt_err err = { "" };

		print_message("%s\n", foreign[i].name);
		assert_int_equal(foreign[i].read(foreign[i].client, foreign[i].server,
						 64, &round, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.message, foreign[i].says));
	}
}

static void a_text_of_perftest_that_ends_early_is_no_measurement(void **ctx)
{
	/* the line of figures is whole where its newline is */
	static const char last[] = "\t100297.88\n";
	const char *at = strstr(perftest_turns, last);
	char text[sizeof(perftest_turns)];
	size_t n;

	(void)ctx;
	assert_non_null(at);
	for (n = 0; n < (size_t)(at - perftest_turns) + sizeof(last) - 1; n++) {
		struct shunt_bench_round round = { .known = 0 };

		memcpy(text, perftest_turns, n);
		text[n] = '\0';
		assert_int_equal(shunt_bench_read_perftest_turns(text, "", 64, &round,
								 NULL),
				 -EBADMSG);
	}
}

/* A program that is cut off anywhere is no measurement, or a whole one. */
static void a_text_that_ends_early_is_no_measurement(void **ctx)
{
	char text[sizeof(sockperf_turns)];
	size_t n;

	(void)ctx;
	for (n = 0; n < sizeof(sockperf_turns) - 8; n++) {
		struct shunt_bench_round round = { .known = 0 };

		memcpy(text, sockperf_turns, n);
		text[n] = '\0';
		assert_int_equal(shunt_bench_read_sockperf_turns(text, "", 64, &round,
								 NULL),
				 -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockperf_tells_percentiles_of_round_trips),
		cmocka_unit_test(of_a_flow_counts_what_the_server_received),
		cmocka_unit_test(half_round_trips_are_doubled),
		cmocka_unit_test(perftest_tells_half_round_trips_and_a_rate),
		cmocka_unit_test(a_text_of_perftest_that_ends_early_is_no_measurement),
		cmocka_unit_test(what_is_not_understood_is_an_error_that_quotes_it),
		cmocka_unit_test(a_text_that_ends_early_is_no_measurement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
