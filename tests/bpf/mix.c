/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swaps under the highest load that this machine gives: no frame is lost, and none sees
 * a mix of two policies, though it is judged twice.
 *
 *     live frames of a test run ─▶ veth ─▶ XDP: DSCP 10 or 20 ─▶ TC: TTL by DSCP ─▶ sink
 *
 * The old policy turns DSCP 0 into 10 and the TTL of DSCP 10 into 11, the new one says 20
 * and 21 instead: the two differ in these two rules. A third one drops every other frame.
 * With netfilter as the second hook, that drops what XDP has marked, and counts by which
 * policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/netfilter.h"
#include "loader/policy/policy.h"
#include "loader/shunt.h"
#include "mix.skel.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"
#include "tests/model/text.h"
#include "tests/patience.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/base/json.h"

#define SWAPS 200
#define FRAMES_MAX (1u << 25) /* as in mix.bpf.c */
/* Of a call, which costs 20 ms of set-up. Some kernels run all of them as one RCU reader, and
 * a swap waits for such readers several times: an emulated machine has it much shorter. */
#define REPEAT ((1u << 20) / patience() / patience())
#define RECEIVER "mix-rx"
#define SOURCE "mix-tx"

#define MARKING(dscp, ttl)                                                             \
	POLICY(PASSING,                                                                \
	       RULES("{\"name\":\"odd\",\"match\":{\"proto\":\"udp\",\"sport\":1},"    \
		     "\"action\":\"drop\"},"                                           \
		     "{\"name\":\"first\",\"match\":{\"proto\":\"udp\",\"dport\":"     \
		     "5000,"                                                           \
		     "\"dscp\":0},\"action\":\"pass\",\"rewrite\":{\"dscp\":" #dscp    \
		     "}},"                                                             \
		     "{\"name\":\"second\",\"match\":{\"proto\":\"udp\",\"dport\":"    \
		     "5000,\"dscp\":" #dscp                                            \
		     "},\"action\":\"pass\",\"rewrite\":{\"ttl\":" #ttl "}}"))

#define STOPPING(own, others)                                                          \
	POLICY(PASSING,                                                                \
	       RULES("{\"name\":\"odd\",\"match\":{\"proto\":\"udp\",\"sport\":1},"    \
		     "\"action\":\"drop\"},"                                           \
		     "{\"name\":\"first\",\"match\":{\"proto\":\"udp\",\"dport\":"     \
		     "5000,"                                                           \
		     "\"dscp\":0},\"action\":\"pass\",\"rewrite\":{\"dscp\":" #own     \
		     "}},"                                                             \
		     "{\"name\":\"second\",\"match\":{\"proto\":\"udp\",\"dport\":"    \
		     "5000,\"dscp\":" #own "},\"action\":\"drop\"},"                   \
		     "{\"name\":\"mixed\",\"match\":{\"proto\":\"udp\",\"dport\":"     \
		     "5000,\"dscp\":" #others "},\"action\":\"drop\"}"))

static struct mix_bpf *ends;
static int home = -1, sender_space = -1;

static void must(int ret, const struct shunt_err *err)
{
	if (ret)
		fail_msg("%s", err->message);
}

static void command(const char *line)
{
	if (system(line))
		fail_msg("%s failed", line);
}

/* --- the wire ------------------------------------------------------------------ */

static int make_space(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* The caller is in the receiver's namespace afterwards. */
static int open_wire(void **ctx)
{
	char line[256];

	(void)ctx;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sender_space = make_space();
	command("ip link set lo up");
	make_space();
	snprintf(line, sizeof(line),
		 "ip link add " RECEIVER " address 02:00:00:00:00:01 type veth peer "
		 "name " SOURCE " netns /proc/%d/fd/%d",
		 (int)getpid(), sender_space);
	command(line);
	command("ip link set " RECEIVER " up");
	snprintf(line, sizeof(line),
		 "nsenter --net=/proc/%d/fd/%d ip link set " SOURCE " up",
		 (int)getpid(), sender_space);
	command(line);
	ends = mix_bpf__open_and_load();
	return ends ? 0 : -1;
}

static int close_wire(void **ctx)
{
	cJSON *reply;

	(void)ctx;
	if (!shunt_detach(RECEIVER, NULL, &reply, NULL)) /* a test has failed */
		cJSON_Delete(reply);
	mix_bpf__destroy(ends);
	close(sender_space);
	return setns(home, CLONE_NEWNET);
}

/* Behind Shunt's own program, be that a TCX link or a clsact filter. */
static void open_sink(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(RECEIVER),
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .priority = 0xfff0,
		    .prog_fd = bpf_program__fd(ends->progs.mix_sink));
	int ret = bpf_tc_hook_create(&hook);

	assert_true(!ret || ret == -EEXIST);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

/* The checksum of an IPv4 header without options, marked as mix_source does. */
static uint16_t header_sum(const uint8_t *header)
{
	uint8_t marked[20];
	uint32_t sum = 0;
	uint16_t word;
	size_t i;

	memcpy(marked, header, sizeof(marked));
	marked[1] = 0;
	marked[8] = 64;
	memset(marked + 10, 0, 2);
	for (i = 0; i < sizeof(marked); i += 2) {
		memcpy(&word, marked + i, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* In a child: frames until it is killed, or there are as many as can be told apart. */
static void send_frames(void)
{
	const struct shunt_frame_spec spec = {
		.l3 = SHUNT_L3_IP4,
		.src = { 192, 0, 2, 1 },
		.dst = { 192, 0, 2, 2 },
		.proto = 17,
		.dport = 5000,
		.payload = 18,
	};
	struct shunt_model_frame frame;
	struct xdp_md context = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.bytes, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = REPEAT,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	int ret = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setns(sender_space, CLONE_NEWNET))
		_exit(1);
	shunt_frame_build(&spec, &frame);
	memcpy(frame.bytes, "\2\0\0\0\0\1", 6); /* the receiver's: for the stack */
	ends->bss->mix_sum = header_sum(frame.bytes + 14);
	memset(frame.bytes + frame.len, 0, 64);
	opts.data_size_in = context.data_end = frame.len < 60 ? 60 : frame.len;
	ends->bss->mix_out = if_nametoindex(SOURCE);
	while (!ret && ends->bss->mix_number + REPEAT < FRAMES_MAX)
		ret = bpf_prog_test_run_opts(bpf_program__fd(ends->progs.mix_source),
					     &opts);
	_exit(ret ? 2 : 0);
}

/* A statistic of one end of the veth, summed over its queues. */
static uint64_t veth_counts(const char *end, const char *what)
{
	char line[256], name[128];
	unsigned long long sum = 0, n;
	unsigned int queue;
	FILE *in;

	snprintf(line, sizeof(line),
		 strcmp(end, SOURCE)
			 ? "ethtool -S " RECEIVER
			 : "nsenter --net=/proc/%d/fd/%d ethtool -S " SOURCE,
		 (int)getpid(), sender_space);
	in = popen(line, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, " %*[rt]x_queue_%u_%127[^:]: %llu", &queue, name,
			   &n) == 3 &&
		    !strcmp(name, what))
			sum += n;
	assert_int_equal(pclose(in), 0);
	return sum;
}

/* Frames that found the receiver's queue full. */
static uint64_t not_taken(void)
{
	return veth_counts(SOURCE, "xdp_xmit_errors");
}

/* Frames that XDP let pass, and that there was no memory for. */
static uint64_t thrown_away(void)
{
	return veth_counts(RECEIVER, "drops");
}

/* --- the test ------------------------------------------------------------------- */

static uint64_t packets_of(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(
		item, list) if (!strcmp(shunt_json_str(item, "name"), name) ||
				!strcmp(shunt_json_str(item, "hook"),
					name)) return shunt_json_u64(item, "packets");
	return 0;
}

static cJSON *statistics(void)
{
	struct shunt_err err;
	cJSON *stats;

	must(shunt_stats(RECEIVER, &stats, &err), &err);
	return stats;
}

static uint64_t judged(const cJSON *stats, const char *hook)
{
	return packets_of(cJSON_GetObjectItemCaseSensitive(stats, "hooks"), hook);
}

/* Swaps for as long as it takes to have enough of them; the frames must keep coming. */
static void swap_under_load(struct shunt_policy *const policy[2])
{
	struct shunt_err err;
	uint64_t swaps = shunt_random_cases(SWAPS), n;
	uint32_t before = 0;

	for (n = 0; n < swaps; n++) {
		cJSON *reply;

		must(shunt_apply(RECEIVER, policy[n % 2 ^ 1], NULL, &reply, &err),
		     &err);
		cJSON_Delete(reply);
		if (n % (swaps / 4) == swaps / 4 - 1) {
			assert_true(ends->bss->mix_number > before);
			before = ends->bss->mix_number;
		}
	}
}

/* A run under load, on the hooks: its statistics once all that was sent is judged. */
static cJSON *run(struct shunt_policy *const policy[2], const char *const hooks[2],
		  uint64_t *sent)
{
	const struct shunt_attach_opts opts = { .sz = sizeof(opts),
						.hook = hooks,
						.hooks = 2 };
	uint64_t start = shunt_now_ns(), took;
	uint64_t before = not_taken();
	struct shunt_err err;
	cJSON *reply, *stats;
	int status;
	pid_t pid;

	must(shunt_attach(RECEIVER, policy[0], &opts, &reply, &err), &err);
	cJSON_Delete(reply);
	ends->bss->mix_number = 0;
	pid = fork();
	if (!pid)
		send_frames();
	while (!ends->bss->mix_number && shunt_now_ns() - start < 5000000000ull)
		sched_yield();
	swap_under_load(policy);
	took = shunt_now_ns() - start;
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	*sent = ends->bss->mix_number;
	/* frames in the veth's queue are taken within a moment */
	for (;;) {
		stats = statistics();
		if (judged(stats, "xdp") + not_taken() - before >= *sent ||
		    shunt_now_ns() - start - took > 5000000000ull)
			break;
		cJSON_Delete(stats);
	}
	printf("%llu frames in %.1f s (%.2f Mpps), %llu swaps; the veth did not take "
	       "%llu, "
	       "threw away %llu\n",
	       (unsigned long long)*sent, (double)took / 1e9,
	       (double)*sent * 1e3 / (double)took,
	       (unsigned long long)shunt_random_cases(SWAPS),
	       (unsigned long long)(not_taken() - before),
	       (unsigned long long)thrown_away());
	return stats;
}

static void detach(void)
{
	struct shunt_err err;
	cJSON *reply;

	must(shunt_detach(RECEIVER, NULL, &reply, &err), &err);
	cJSON_Delete(reply);
}

static uint64_t packets_of_rule(const cJSON *stats, const char *name)
{
	return packets_of(cJSON_GetObjectItemCaseSensitive(stats, "rules"), name);
}

static void no_frame_is_lost_or_sees_a_mix(void **ctx)
{
	static const char *const hooks[] = { "xdp", "tc-ingress" };
	struct shunt_policy *const policy[] = {
		shunt_fixture_policy(MARKING(10, 11)),
		shunt_fixture_policy(MARKING(20, 21)),
	};
	uint64_t sent;
	cJSON *stats;

	(void)ctx;
	open_sink();
	stats = run(policy, hooks, &sent);
	printf("%llu old, %llu new, %llu mixed, %llu twice\n",
	       (unsigned long long)ends->bss->mix_old,
	       (unsigned long long)ends->bss->mix_new,
	       (unsigned long long)ends->bss->mix_mixed,
	       (unsigned long long)ends->bss->mix_twice);
	assert_int_equal(ends->bss->mix_mixed, 0);
	assert_int_equal(ends->bss->mix_twice, 0);
	assert_true(ends->bss->mix_old && ends->bss->mix_new);
	assert_int_equal(ends->bss->mix_old + ends->bss->mix_new +
				 packets_of_rule(stats, "odd") + not_taken() +
				 thrown_away(),
			 sent);
	cJSON_Delete(stats);
	detach();
	command("tc qdisc del dev " RECEIVER " clsact"); /* the sink's */
	shunt_policy_free(policy[0]);
	shunt_policy_free(policy[1]);
}

static void netfilter_goes_by_the_policy_that_xdp_went_by(void **ctx)
{
	static const char *const hooks[] = { "xdp", "netfilter" };
	struct shunt_policy *const policy[] = {
		shunt_fixture_policy(STOPPING(10, 20)),
		shunt_fixture_policy(STOPPING(20, 10)),
	};
	uint64_t sent, before = not_taken() + thrown_away();
	cJSON *stats;

	(void)ctx;
	if (shunt_nf_known(NULL))
		skip(); /* Linux 6.4 */
	stats = run(policy, hooks, &sent);
	printf("%llu odd, %llu marked, %llu mixed\n",
	       (unsigned long long)packets_of_rule(stats, "odd"),
	       (unsigned long long)packets_of_rule(stats, "second"),
	       (unsigned long long)packets_of_rule(stats, "mixed"));
	assert_int_equal(packets_of_rule(stats, "mixed"), 0);
	assert_int_equal(packets_of_rule(stats, "odd") +
				 packets_of_rule(stats, "second") + not_taken() +
				 thrown_away() - before,
			 sent);
	cJSON_Delete(stats);
	detach();
	shunt_policy_free(policy[0]);
	shunt_policy_free(policy[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_frame_is_lost_or_sees_a_mix),
		cmocka_unit_test(netfilter_goes_by_the_policy_that_xdp_went_by),
	};

	libbpf_set_print(NULL);
	return cmocka_run_group_tests(tests, open_wire, close_wire);
}
