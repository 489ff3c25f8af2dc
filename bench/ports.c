/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports beside their peers: frames received, transmitted and forwarded over veth, what
 * that costs, and what an idle port costs. bench/ports_stage.h draws the stage.
 *
 *     ports [--quick] [--json] [--rounds N] [--seconds S] [--case receive|…] [--row WORDS]
 *
 * Every round measures each row of a case once, in turn; ratios are taken within a round.
 */
#include <getopt.h>

#include <cjson/cJSON.h>

#include "bench/ports_own.h"
#include "bench/ports_peer.h"
#include "bench/stat.h"
#include "user/base/cleanup.h"

#define ROUNDS_MAX BENCH_SAMPLES
#define PEERS_MAX 2

enum kind { RECEIVE, TRANSMIT, FORWARD, IDLE, KINDS };

static const struct {
	const char *name;
	const char *rate; /* what its figure counts */
} cases[KINDS] = {
	[RECEIVE] = { "receive", "received and dropped" },
	[TRANSMIT] = { "transmit", "arrived at the far end" },
	[FORWARD] = { "forward", "arrived at the far end" },
	[IDLE] = { "idle", "nothing comes" },
};

struct row {
	enum kind kind;
	const char *name;
	void (*run)(const struct row *row, struct stage *stage, double seconds,
		    struct figure *figure);
	const char *in, *out; /* ports, or how a peer does it */
	enum shunt_wait wait;
	unsigned int generic; /* XDP_FLAGS_SKB_MODE: the program runs late */
	bool peer;	      /* others are compared with it */
	bool swap;
};

/* --- one measurement -------------------------------------------------------------------- */

static unsigned int mode_of(const struct row *row)
{
	return row->generic ? row->generic : XDP_FLAGS_DRV_MODE;
}

static void run_plain(const struct row *row, struct stage *stage, double seconds,
		      struct figure *figure)
{
	struct loop_result result = { 0 };
	double before = loop_cpu_seconds();

	plain_run(STAGE_IN, stage_map(stage), seconds, row->wait, &result);
	*figure = (struct figure){ .packets = result.packets,
				   .taken = result.packets,
				   .lost = result.lost,
				   .seconds = result.seconds,
				   .cpu = loop_cpu_seconds() - before };
}

static void run_own(const struct row *row, struct stage *stage, double seconds,
		    struct figure *figure)
{
	int (*run)(void *, struct shunt_err *) = !row->out  ? own_drop
						 : !row->in ? own_generate
							    : own_forward;
	struct own own = { .swap = row->swap };
	uint64_t seen;

	plain_frame(own.template);
	if (row->in)
		own.in = own_open(stage, row->in, NULL);
	if (row->out)
		own.out = own_open(stage, row->out, own.in ? own.in->pool : NULL);
	seen = stage_seen(stage);
	own_work(&own, run, row->wait, seconds, figure);
	if (row->out)
		figure->packets = stage_seen(stage) - seen;
	shunt_frames_put(own.frames + own.at, own.n - own.at);
	shunt_port_close(own.out);
	shunt_port_close(own.in);
}

/* In the program: nobody in user space has anything to do. */
static void run_redirect(const struct row *row, struct stage *stage, double seconds,
			 struct figure *figure)
{
	uint64_t start = shunt_now_ns(), seen = stage_seen(stage), in = stage_came_in();

	(void)row;
	usleep((useconds_t)(seconds * 1e6));
	figure->packets = stage_seen(stage) - seen;
	figure->taken = stage_came_in() - in;
	figure->seconds = (shunt_now_ns() - start) / 1e9;
}

/* dpdk-testpmd does `in`, and says itself what it has lost. */
static void run_peer(const struct row *row, struct stage *stage, double seconds,
		     struct figure *figure)
{
	static const char *const in[] = { STAGE_IN, NULL },
				 *const out[] = { STAGE_OUT, NULL },
				 *const both[] = { STAGE_IN, STAGE_OUT, NULL };
	const char *const *ifs = row->kind == RECEIVE	 ? in
				 : row->kind == TRANSMIT ? out
							 : both;
	struct peer_count count;
	uint64_t start, seen;
	struct peer peer;

	peer_open(&peer, row->in, ifs);
	seen = stage_seen(stage);
	start = shunt_now_ns();
	peer_start(&peer, &count);
	usleep((useconds_t)(seconds * 1e6));
	figure->seconds = (shunt_now_ns() - start) / 1e9;
	peer_stop(&peer, &count);
	figure->packets = row->kind == RECEIVE ? count.rx : stage_seen(stage) - seen;
	figure->taken = row->kind == TRANSMIT ? count.tx : count.rx;
	figure->lost = count.rx_dropped;
	figure->cpu = count.cpu;
	peer_close(&peer);
}

#define IN_XDP "af_xdp:" STAGE_IN ",rx=on"
#define OUT_XDP "af_xdp:" STAGE_OUT ",rx=off"

static const struct row rows[] = {
	{ RECEIVE, "libxdp, plain loop", run_plain, "", .wait = SHUNT_WAIT_SPIN,
	  .peer = true },
	{ RECEIVE, "dpdk-testpmd rxonly", run_peer, "rxonly", .peer = true },
	{ RECEIVE, "libxdp, plain loop, generic", run_plain, "",
	  .wait = SHUNT_WAIT_SPIN, .generic = XDP_FLAGS_SKB_MODE },
	{ RECEIVE, "af_xdp, spin", run_own, IN_XDP, .wait = SHUNT_WAIT_SPIN },
	{ RECEIVE, "af_xdp, adaptive", run_own, IN_XDP, .wait = SHUNT_WAIT_ADAPTIVE },
	{ RECEIVE, "af_xdp, poll", run_own, IN_XDP, .wait = SHUNT_WAIT_POLL },
	{ RECEIVE, "af_xdp, generic, spin", run_own, IN_XDP ",mode=generic",
	  .wait = SHUNT_WAIT_SPIN, .generic = XDP_FLAGS_SKB_MODE },
	{ RECEIVE, "af_packet, spin", run_own, "af_packet:" STAGE_IN,
	  .wait = SHUNT_WAIT_SPIN },
	{ RECEIVE, "dpdk, spin", run_own, "dpdk:" STAGE_IN, .wait = SHUNT_WAIT_SPIN },
	{ RECEIVE, "dpdk, adaptive", run_own, "dpdk:" STAGE_IN,
	  .wait = SHUNT_WAIT_ADAPTIVE },

	{ TRANSMIT, "dpdk-testpmd txonly", run_peer, "txonly", .peer = true },
	{ TRANSMIT, "af_xdp", run_own, .out = OUT_XDP, .wait = SHUNT_WAIT_SPIN },
	{ TRANSMIT, "af_packet", run_own, .out = "af_packet:" STAGE_OUT,
	  .wait = SHUNT_WAIT_SPIN },
	{ TRANSMIT, "dpdk", run_own, .out = "dpdk:" STAGE_OUT,
	  .wait = SHUNT_WAIT_SPIN },

	{ FORWARD, "dpdk-testpmd io", run_peer, "io", .peer = true },
	{ FORWARD, "dpdk-testpmd mac", run_peer, "mac", .peer = true },
	{ FORWARD, "af_xdp", run_own, IN_XDP, OUT_XDP, SHUNT_WAIT_SPIN },
	{ FORWARD, "af_xdp, MACs swapped", run_own, IN_XDP, OUT_XDP, SHUNT_WAIT_SPIN,
	  .swap = true },
	{ FORWARD, "af_xdp, MACs swapped, poll", run_own, IN_XDP, OUT_XDP,
	  SHUNT_WAIT_POLL, .swap = true },
	{ FORWARD, "dpdk, MACs swapped", run_own, "dpdk:" STAGE_IN ",frames=16384",
	  "dpdk:" STAGE_OUT, SHUNT_WAIT_SPIN, .swap = true },
	{ FORWARD, "af_packet, MACs swapped", run_own, "af_packet:" STAGE_IN,
	  "af_packet:" STAGE_OUT, SHUNT_WAIT_SPIN, .swap = true },
	{ FORWARD, "in the XDP program", run_redirect },

	{ IDLE, "af_xdp, adaptive", run_own, IN_XDP, .wait = SHUNT_WAIT_ADAPTIVE },
	{ IDLE, "af_packet, adaptive", run_own, "af_packet:" STAGE_IN,
	  .wait = SHUNT_WAIT_ADAPTIVE },
	{ IDLE, "dpdk, adaptive", run_own, "dpdk:" STAGE_IN,
	  .wait = SHUNT_WAIT_ADAPTIVE },
	{ IDLE, "dpdk, a driver without interrupts", run_own,
	  "dpdk:net_pcap0,args=rx_iface=" STAGE_IN ";tx_iface=" STAGE_IN,
	  .wait = SHUNT_WAIT_ADAPTIVE },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The others see the traffic without a program, or bring their own. */
static bool wants_feed(const struct row *row)
{
	return row->run == run_plain || (row->in && strstr(row->in, "rx=on"));
}

/* What we measure of our own is a process by itself; a peer is one anyway. */
static void measure(const struct row *row, struct stage *stage, double seconds,
		    struct figure *figure)
{
	int status;
	pid_t pid;

	if (row->run == run_redirect)
		stage_attach(stage, stage->ports->progs.ports_redirect, mode_of(row));
	else if (wants_feed(row))
		stage_attach(stage, stage->feed->progs.xsk_rx, mode_of(row));
	if (row->kind == RECEIVE || row->kind == FORWARD)
		stage_flow(stage);
	memset(figure, 0, sizeof(*figure));
	pid = row->run == run_peer ? 0 : fork();
	if (pid < 0)
		loop_fail("fork");
	if (!pid && row->run != run_peer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop_pin(0);
		row->run(row, stage, seconds, figure);
		_exit(0);
	}
	if (!pid)
		row->run(row, stage, seconds, figure);
	else if (waitpid(pid, &status, 0) != pid || status)
		figure->seconds = 0;
	stage_still(stage);
	stage_detach(stage);
	if (figure->seconds <= 0 || (!figure->packets && row->kind != IDLE)) {
		fprintf(stderr, "ports: %s, %s: measured nothing\n",
			cases[row->kind].name, row->name);
		exit(1);
	}
}

/* --- the report ---------------------------------------------------------------------------- */

struct column {
	double rate[ROUNDS_MAX], cpu[ROUNDS_MAX], ns[ROUNDS_MAX], before[ROUNDS_MAX],
		inside[ROUNDS_MAX];
};

static void note(struct column *column, const struct figure *figure, int round)
{
	double packets = figure->packets ? figure->packets : 1,
	       offered = figure->taken + figure->lost;

	column->rate[round] = figure->packets / figure->seconds / 1e6;
	column->cpu[round] = 100 * figure->cpu / figure->seconds;
	column->ns[round] = 1e9 * figure->cpu / packets;
	column->before[round] = offered > 0 ? 100 * figure->lost / offered : 0;
	column->inside[round] =
		figure->taken > figure->packets
			? 100.0 * (figure->taken - figure->packets) / figure->taken
			: 0;
}

static struct bench_stat ratio_of(const struct column *mine, const struct column *peer,
				  int rounds)
{
	double ratio[ROUNDS_MAX];
	int k;

	for (k = 0; k < rounds; k++)
		ratio[k] = mine->rate[k] / peer->rate[k];
	return bench_stat_of(ratio, (size_t)rounds);
}

static void add_stat(cJSON *json, const char *name, struct bench_stat stat)
{
	cJSON *object = cJSON_AddObjectToObject(json, name);

	cJSON_AddNumberToObject(object, "median", stat.median);
	cJSON_AddNumberToObject(object, "min", stat.min);
	cJSON_AddNumberToObject(object, "max", stat.max);
}

static void report_json(const struct row *row, const struct column *columns, int rounds)
{
	const struct column *mine = &columns[row - rows];
	_json_ cJSON *json = cJSON_CreateObject();
	cJSON *ratios;
	_free_ char *text = NULL;
	size_t i;

	cJSON_AddStringToObject(json, "bench", "ports");
	cJSON_AddStringToObject(json, "case", cases[row->kind].name);
	cJSON_AddStringToObject(json, "row", row->name);
	cJSON_AddNumberToObject(json, "rounds", rounds);
	add_stat(json, "mpps", bench_stat_of(mine->rate, (size_t)rounds));
	add_stat(json, "cpu_percent", bench_stat_of(mine->cpu, (size_t)rounds));
	add_stat(json, "cpu_ns_packet", bench_stat_of(mine->ns, (size_t)rounds));
	add_stat(json, "lost_before_percent",
		 bench_stat_of(mine->before, (size_t)rounds));
	add_stat(json, "lost_inside_percent",
		 bench_stat_of(mine->inside, (size_t)rounds));
	ratios = cJSON_AddObjectToObject(json, "ratio");
	for (i = 0; i < ROWS; i++)
		if (rows[i].peer && rows[i].kind == row->kind && columns[i].rate[0])
			add_stat(ratios, rows[i].name,
				 ratio_of(mine, &columns[i], rounds));
	text = cJSON_PrintUnformatted(json);
	printf("%s\n", text);
}

static void report_head(enum kind kind, const struct column *columns)
{
	size_t i;

	printf("\n%s: Mpps %s\n%-34s %20s %6s %7s %7s %7s", cases[kind].name,
	       cases[kind].rate, "", "Mpps (min-max)", "CPU %", "ns CPU", "before%",
	       "inside%");
	for (i = 0; i < ROWS; i++)
		if (rows[i].peer && rows[i].kind == kind && columns[i].rate[0])
			printf("  x %s", rows[i].name);
	printf("\n");
}

static void report_text(const struct row *row, const struct column *columns, int rounds)
{
	const struct column *mine = &columns[row - rows];
	size_t n = (size_t)rounds, i;
	struct bench_stat rate = bench_stat_of(mine->rate, n);

	printf("%-34s %6.2f (%5.2f-%5.2f) %6.1f %7.0f %7.2f %7.2f", row->name,
	       rate.median, rate.min, rate.max, bench_stat_of(mine->cpu, n).median,
	       row->kind == IDLE ? 0 : bench_stat_of(mine->ns, n).median,
	       bench_stat_of(mine->before, n).median,
	       bench_stat_of(mine->inside, n).median);
	for (i = 0; i < ROWS; i++) {
		struct bench_stat ratio;

		if (!rows[i].peer || rows[i].kind != row->kind || !columns[i].rate[0])
			continue;
		ratio = ratio_of(mine, &columns[i], rounds);
		printf("  %5.2f (%.2f-%.2f)   ", ratio.median, ratio.min, ratio.max);
	}
	printf("\n");
}

/* --- main --------------------------------------------------------------------------------------- */

struct options {
	int rounds;
	double seconds;
	bool json;
	const char *kind, *words;
};

static const struct option longs[] = {
	{ "quick", no_argument, NULL, 'q' },
	{ "json", no_argument, NULL, 'j' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },
	{ "case", required_argument, NULL, 'c' },
	{ "row", required_argument, NULL, 'w' },
	{ 0 },
};

static void read_options(struct options *options, int argc, char **argv)
{
	int c;

	*options = (struct options){ .rounds = 5, .seconds = 2 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'q')
			options->rounds = 1, options->seconds = 0.3;
		else if (c == 'j')
			options->json = true;
		else if (c == 'r')
			options->rounds = atoi(optarg);
		else if (c == 's')
			options->seconds = atof(optarg);
		else if (c == 'c')
			options->kind = optarg;
		else if (c == 'w')
			options->words = optarg;
		else
			options->rounds = 0;
	}
	if (options->rounds < 1 || options->rounds > ROUNDS_MAX ||
	    options->seconds <= 0) {
		fprintf(stderr,
			"usage: ports [--quick] [--json] [--rounds N] [--seconds S] "
			"[--case receive|transmit|forward|idle] [--row WORDS]\n");
		exit(2);
	}
}

/* A row, if it is asked for and this machine has what it takes; peers always are. */
static bool is_in(const struct row *row, enum kind kind, const struct options *options)
{
	static int testpmd = -1;

	if (testpmd < 0) {
		testpmd = peer_is_there();
		if (!testpmd)
			fprintf(stderr, "ports: no dpdk-testpmd: install dpdk-dev\n");
	}
	if (row->kind != kind || (row->run == run_peer && !testpmd) ||
	    (!testpmd && row->in && !strncmp(row->in, "dpdk", 4)))
		return false;
	return !options->words || row->peer || strstr(row->name, options->words);
}

static void run_case(enum kind kind, struct stage *stage, struct column *columns,
		     struct figure *figure, const struct options *options)
{
	size_t i;
	int k;

	for (k = 0; k < options->rounds; k++)
		for (i = 0; i < ROWS; i++)
			if (is_in(&rows[i], kind, options)) {
				measure(&rows[i], stage, options->seconds, figure);
				note(&columns[i], figure, k);
			}
	if (!options->json)
		report_head(kind, columns);
	for (i = 0; i < ROWS; i++) {
		if (!is_in(&rows[i], kind, options))
			continue;
		if (options->json)
			report_json(&rows[i], columns, options->rounds);
		else
			report_text(&rows[i], columns, options->rounds);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct column columns[ROWS];
	struct options options;
	struct figure *figure;
	struct stage stage = { 0 };
	enum kind kind;

	read_options(&options, argc, argv);
	libbpf_set_print(NULL);
	figure = mmap(NULL, sizeof(*figure), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (figure == MAP_FAILED)
		loop_fail("mmap");
	stage_open(&stage);
	for (kind = 0; kind < KINDS; kind++)
		if (!options.kind || !strcmp(options.kind, cases[kind].name))
			run_case(kind, &stage, columns, figure, &options);
	return 0;
}
