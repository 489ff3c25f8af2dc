/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the watch behind the ledger costs a redirected packet: the same traffic with it
 * and without it.
 *
 *     watch [--json] [--quick] [rounds, 9] [seconds a measurement, 1]
 *
 *     namespace B, CPU 1                          namespace A, CPU 0
 *     live frames ─▶ veth ─▶ NAPI thread ─▶ shunt ─▶ interface: veth, dropped behind it
 *                                                 ─▶ consumer: a socket that takes nothing
 *
 * In the first case the watch runs once a bulk of 16 frames, in the second once a frame,
 * for each of them is lost. Every round measures both in turn; ratios are taken within a
 * round. The namespaces have no name: they go when this process does.
 */
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bench/options.h"
#include "bench/stat.h"
#include "bench/wire.h"
#include "loader/instance.h"
#include "loader/shunt.h"
#include "loader/watch.h"
#include "user/base/clock.h"
#include "user/io/port.h"

#define ROUNDS_MAX BENCH_SAMPLES
#define PINS "/sys/fs/bpf/shunt/v1/*:" WIRE_A "/links/watch_*"
#define SETTLE_US 100000 /* the kernel lets links go in its own time */

static struct {
	bool json, quick;
	size_t rounds;
	double seconds;
} opt = { .rounds = 9, .seconds = 1 };

static const struct {
	const char *name;
	const char *policy;
	bool consumer;
} cases[] = {
	{ "interface",
	  "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\",\"rules\":[{\"name\":"
	  "\"all\",\"match\":{\"proto\":\"udp\"},\"action\":{\"redirect\":{"
	  "\"interface\":\"shr-to\"}}}]}",
	  false },
	{ "lost",
	  "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\",\"consumers\":{\"c\":{"
	  "\"kind\":\"xsk\"}},\"rules\":[{\"name\":\"all\",\"match\":{\"proto\":"
	  "\"udp\"},\"action\":{\"redirect\":{\"consumer\":\"c\"}}}]}",
	  true },
};

static int read_policy(const char *text, struct shunt_policy **policy,
		       struct shunt_err *err)
{
	char path[] = "/tmp/shunt-bench-XXXXXX";
	int fd = mkstemp(path), ret;
	cJSON *reply = NULL;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ret = shunt_fail_errno(err, -errno, "write a policy");
	else
		ret = shunt_check(path, policy, &reply, err);
	cJSON_Delete(reply);
	if (fd >= 0)
		close(fd);
	unlink(path);
	return ret;
}

static int attach(const char *interface, const char *text, struct shunt_err *err)
{
	struct shunt_policy *policy = NULL;
	cJSON *reply = NULL;
	int ret = read_policy(text, &policy, err);

	if (!ret)
		ret = shunt_attach(interface, policy, NULL, &reply, err);
	cJSON_Delete(reply);
	shunt_policy_free(policy);
	return ret;
}

static int detach(const char *interface, struct shunt_err *err)
{
	cJSON *reply = NULL;
	int ret = shunt_detach(interface, NULL, &reply, err);

	cJSON_Delete(reply);
	return ret;
}

static int set_watch(bool on, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct shunt_err note;
	glob_t found;
	size_t i;
	int ret;

	if (!glob(PINS, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
		globfree(&found);
	}
	ret = shunt_instance_open(&instance, WIRE_A, true, err);
	if (ret || !on)
		return ret;
	shunt_watch_start(&instance, instance.state, &note);
	return *note.message ? shunt_fail(err, -EPERM, "%s", note.message) : 0;
}

/* One case in one round: nanoseconds a frame. */
static int measure(bool on, double *ns, struct shunt_err *err)
{
	uint64_t frames, start;
	int ret = set_watch(on, err);

	if (ret)
		return ret;
	usleep(SETTLE_US);
	frames = wire_received();
	start = shunt_now_ns();
	usleep(opt.seconds * 1e6);
	frames = wire_received() - frames;
	if (!frames)
		return shunt_fail(err, -EIO, "no frame arrived");
	*ns = (double)(shunt_now_ns() - start) / frames;
	return 0;
}

static void report(const char *name, double sample[2][ROUNDS_MAX])
{
	struct bench_stat without = bench_stat_of(sample[0], opt.rounds),
			  with = bench_stat_of(sample[1], opt.rounds),
			  over = bench_stat_over(sample[1], sample[0], opt.rounds);
	double ratio[ROUNDS_MAX];
	struct bench_stat ratios;
	size_t r;

	for (r = 0; r < opt.rounds; r++)
		ratio[r] = sample[1][r] / sample[0][r];
	ratios = bench_stat_of(ratio, opt.rounds);
	if (opt.json)
		printf("{\"bench\":\"watch\",\"case\":\"%s\",\"rounds\":%zu,"
		       "\"without_ns\":%.1f,\"with_ns\":%.1f,\"over_ns\":%.1f,"
		       "\"over_min\":%.1f,\"over_max\":%.1f,\"ratio\":%.3f,"
		       "\"ratio_min\":%.3f,\"ratio_max\":%.3f}\n",
		       name, opt.rounds, without.median, with.median, over.median,
		       over.min, over.max, ratios.median, ratios.min, ratios.max);
	else
		printf("%-10s without %6.1f ns, with %6.1f ns: %+.1f (%+.1f..%+.1f), "
		       "x%.3f (%.3f..%.3f)\n",
		       name, without.median, with.median, over.median, over.min,
		       over.max, ratios.median, ratios.min, ratios.max);
	fflush(stdout);
}

/* A socket that is fed and never looked at: its ring is full at once. */
static int open_sink(struct shunt_port **port, struct shunt_err *err)
{
	return shunt_port_open(port, "af_xdp:" WIRE_A ",consumer=c,ring=64,tx=off",
			       NULL, err);
}

static int run_case(const struct bench_wire *wire, size_t c, struct shunt_err *err)
{
	double sample[2][ROUNDS_MAX];
	struct shunt_port *port = NULL;
	size_t round, on;
	pid_t source;
	int ret = attach(WIRE_A, cases[c].policy, err);

	if (ret)
		return ret;
	if (cases[c].consumer)
		ret = open_sink(&port, err);
	source = wire_start(wire, false, 0);
	for (round = 0; !ret && round < opt.rounds; round++)
		for (on = 0; !ret && on < 2; on++)
			ret = measure(on, &sample[on][round], err);
	kill(source, SIGKILL);
	waitpid(source, NULL, 0);
	shunt_port_close(port);
	if (!ret)
		report(cases[c].name, sample);
	return detach(WIRE_A, ret ? NULL : err) ? -EIO : ret;
}

/* UDP over IPv4, the same flow each time. */
static void fill_source(const struct bench_wire *wire)
{
	static const uint8_t ip[28] = { 0x45, 0,	  0,	28, [8] = 64,
					17,   [12] = 192, 0,	2,  1,
					192,  0,	  2,	2,  0x0f,
					0xa0, 0x13,	  0x88, 0,  8 };
	size_t flow, flows = sizeof(wire->source->bss->rules_flow) /
			     sizeof(wire->source->bss->rules_flow[0]);

	for (flow = 0; flow < flows; flow++)
		memcpy(wire->source->bss->rules_flow[flow], ip, sizeof(ip));
}

static int run(const struct bench_wire *wire, struct shunt_err *err)
{
	size_t c;
	int ret;

	/* /sys is our own by now, without a bpffs */
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		return shunt_fail_errno(err, -errno, "mount bpffs");
	ret = wire_command("ip link add shr-to type veth peer shr-end && "
			   "ip link set shr-to up && ip link set shr-end up",
			   err);
	if (!ret)
		ret = attach("shr-end",
			     "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\"}",
			     err);
	if (ret)
		return ret;
	fill_source(wire);
	for (c = 0; !ret && c < sizeof(cases) / sizeof(*cases); c++)
		ret = run_case(wire, c, err);
	return detach("shr-end", ret ? NULL : err) ? -EIO : ret;
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (first < 0 || argc - first > 2)
		return -EINVAL;
	if (opt.quick) {
		opt.rounds = 1;
		opt.seconds = 0.2;
	}
	if (first < argc)
		opt.rounds = strtoul(argv[first], NULL, 10);
	if (first + 1 < argc)
		opt.seconds = strtod(argv[first + 1], NULL);
	return !opt.rounds || opt.rounds > ROUNDS_MAX || opt.seconds <= 0 ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct bench_wire wire = { 0 };
	struct shunt_err err = { "" };
	int ret;

	if (read_options(argc, argv))
		return bench_usage("watch", rows, "[ROUNDS [SECONDS]]");
	libbpf_set_print(NULL);
	ret = wire_open(&wire, &err);
	wire_pin(0);
	if (!ret)
		ret = run(&wire, &err);
	wire_close(&wire);
	if (ret)
		fprintf(stderr, "watch: %s\n", err.message);
	return ret ? 1 : 0;
}
