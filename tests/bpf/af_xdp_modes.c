/* SPDX-License-Identifier: BSD-2-Clause */
/* AF_XDP ports: what is asked for, what the kernel gives, and what the port says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loader/shunt.h"
#include "tests/bpf/xsk_rig.h"

/* --- what describe says ------------------------------------------------------------------ */

static cJSON *describe(struct shunt_port *port)
{
	cJSON *json = shunt_port_describe(port);

	assert_non_null(json);
	return json;
}

static const char *mode_of(struct shunt_port *port)
{
	static char mode[32];
	cJSON *json = describe(port);

	snprintf(mode, sizeof(mode), "%s",
		 cJSON_GetStringValue(cJSON_GetObjectItem(json, "mode")));
	cJSON_Delete(json);
	return mode;
}

static double number_of(struct shunt_port *port, const char *object, const char *key)
{
	cJSON *json = describe(port), *in = json;
	const cJSON *item;
	double value;

	if (object)
		in = cJSON_GetObjectItem(json, object);
	item = cJSON_GetObjectItem(in, key);
	assert_non_null(item);
	value = cJSON_IsNumber(item) ? item->valuedouble : cJSON_IsTrue(item);
	cJSON_Delete(json);
	return value;
}

static void expect_refusal(const char *text, int code, const char *words)
{
	struct shunt_err err = { 0 };

	assert_int_equal(refused(NULL, text, &err), code);
	if (!strstr(err.message, words))
		fail_msg("%s: %s", text, err.message);
}

/* Why its first queue has no zero copy; "": it says nothing. */
static const char *refusal_of(struct shunt_port *port)
{
	static char text[64];
	cJSON *json = describe(port), *queue;
	const char *said;

	queue = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "queues"), 0);
	said = cJSON_GetStringValue(cJSON_GetObjectItem(queue, "zero_copy_refused"));
	snprintf(text, sizeof(text), "%s", said ? said : "");
	cJSON_Delete(json);
	return text;
}

/* --- the ladder --------------------------------------------------------------------------- */

static void set_program(const char *interface, struct bpf_program *program,
			uint32_t flags)
{
	int ifindex = (int)if_nametoindex(interface);

	assert_int_equal(bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL), 0);
	if (program)
		attach(interface, program, flags);
}

static void the_best_there_is_is_taken_and_told(void **ctx)
{
	struct shunt_port *native = fed_port(NULL, "af_xdp:b0,rx=on", 0), *port;

	(void)ctx;
	/* veth has no zero copy; its program runs in native mode */
	assert_string_equal(mode_of(native), "native");
	assert_int_equal(native->caps & SHUNT_PORT_ZERO_COPY, 0);
	assert_string_equal(refusal_of(native), strerror(EOPNOTSUPP));
	shunt_port_close(native);
	set_program("b0", feed->progs.xsk_feed_plain, XDP_FLAGS_SKB_MODE);
	native = port_on(NULL, "af_xdp:a0,rx=off");
	assert_string_equal(mode_of(native), "copy");
	port = fed_port(NULL, "af_xdp:b0,rx=on", 0);
	assert_string_equal(mode_of(port), "generic");
	send_packets(native, native->pool, 0, 32, 300, 0);
	expect_packets(port, 0, 32, 300, 0);
	shunt_port_close(port);
	shunt_port_close(native);
}

static void what_is_insisted_on_is_given_or_refused(void **ctx)
{
	static const char *const good[] = { "native", "copy" };
	char text[64];
	size_t i;

	(void)ctx;
	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "af_xdp:b0,rx=on,mode=%s", good[i]);
		shunt_port_close(port_on(NULL, text));
	}
	expect_refusal("af_xdp:b0,rx=on,mode=zero-copy", -EOPNOTSUPP,
		       "zero copy on b0, queue 0: its driver cannot; leave the mode to "
		       "Shunt");
	expect_refusal("af_xdp:b0,rx=on,mode=generic", -EOPNOTSUPP,
		       "the XDP program of b0 is attached in native mode: `shunt "
		       "detach b0`, then attach it with --mode generic");
	expect_refusal("af_xdp:a0,rx=on,mode=native", -ENOENT,
		       "no XDP program is attached to a0");
	expect_refusal("af_xdp:a0,rx=off,mode=native", -EINVAL, "rx is off");
	set_program("b0", feed->progs.xsk_feed_plain, XDP_FLAGS_SKB_MODE);
	shunt_port_close(port_on(NULL, "af_xdp:b0,rx=on,mode=generic"));
	expect_refusal("af_xdp:b0,rx=on,mode=native", -EOPNOTSUPP,
		       "attached in generic mode");
	expect_refusal("af_xdp:b0,rx=on,mode=zero-copy", -EOPNOTSUPP,
		       "attached in generic mode");
}

/* --- options ------------------------------------------------------------------------------- */

static void what_makes_no_sense_is_refused_in_words(void **ctx)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} rows[] = {
		{ "af_xdp:b0", -EINVAL, "whose packets? consumer=NAME takes those" },
		{ "af_xdp:b0,rx=off,consumer=c", -EINVAL,
		  "rx=off, but consumer= says that it is to receive" },
		{ "af_xdp:b0,consumer=c,xskmap=/x", -EINVAL, "name one" },
		{ "af_xdp:b0,consumer=c", -ENOENT, "b0" },
		{ "af_xdp:b0,xskmap=/no/such", -ENOENT, "open the XSKMAP /no/such" },
		{ "af_xdp:b9,rx=on", -ENODEV, "b9" },
		{ "af_xdp:b0,rx=on,queues=7", -EINVAL, "b0 has no receive queue 7" },
		{ "af_xdp:b0,rx=on,ring=500", -EINVAL, "power of two" },
		{ "af_xdp:b0,rx=on,tx-ring=65536", -EINVAL, "from 1 to 32768" },
		{ "af_xdp:b0,rx=off,tx=off", -EINVAL,
		  "neither receives nor transmits" },
		{ "af_xdp:b0,rx=on,mode=fast", -EINVAL,
		  "one of auto, zero-copy, copy, native, generic" },
		{ "af_xdp:a-name-that-is-too-long", -EINVAL, "long name" },
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_refusal(rows[i].text, rows[i].code, rows[i].words);
}

static void a_transmit_budget_saves_system_calls(void **ctx)
{
	struct shunt_port *whole = port_on(NULL, "af_xdp:a0,rx=off,queues=1"), *small;
	bool can = number_of(whole, NULL, "tx_budget");
	struct shunt_frame frames[256];
	unsigned int i;

	(void)ctx;
	expect_refusal("af_xdp:b0,rx=off,tx-ring=64,tx-budget=128",
		       can ? -EACCES : -ENOPROTOOPT,
		       "send up to 128 packets a system call");
	if (!can) { /* before Linux 6.17 */
		shunt_port_close(whole);
		skip();
	}
	small = port_on(NULL, "af_xdp:a0,rx=off,tx-budget=32");
	assert_int_equal(number_of(small, NULL, "tx_budget"), 32);
	assert_int_equal(number_of(whole, NULL, "tx_budget"), 2048);
	for (i = 0; i < 2; i++) {
		struct shunt_port *port = i ? whole : small;
		unsigned int k;

		assert_int_equal(shunt_pool_get(port->pool, frames, 256), 256);
		for (k = 0; k < 256; k++)
			frames[k].len = 60;
		assert_int_equal(shunt_port_tx(port, frames, 256), 256);
		kick(port);
		assert_int_equal(shunt_memory_free_frames(shunt_memory_of(port->pool)),
				 number_of(port, "memory", "frames"));
	}
	assert_true(stats_of(small).wakeups >= 8);
	assert_int_equal(stats_of(whole).wakeups, 1);
	shunt_port_close(small);
	shunt_port_close(whole);
}

static void busy_polling_and_no_need_wakeup_still_move_packets(void **ctx)
{
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off,need-wakeup=off");
	struct shunt_port *to =
		fed_port(NULL, "af_xdp:b0,rx=on,busy-poll=20,busy-budget=16", 0);

	(void)ctx;
	assert_int_equal(number_of(to, NULL, "busy_poll_us"), 20);
	assert_int_equal(number_of(from, NULL, "need_wakeup"), 0);
	send_packets(from, from->pool, 0, 64, 300, 0);
	expect_packets(to, 0, 64, 300, 0);
	shunt_port_close(from);
	shunt_port_close(to);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void pass_all_lengths(struct shunt_port *from, struct shunt_port *to,
			     uint32_t step)
{
	uint32_t bytes;

	for (bytes = 14; bytes <= from->frame_max; bytes += step) {
		send_packets(from, from->pool, bytes, 3, bytes, 0);
		expect_packets(to, bytes, 3, bytes, 0);
	}
	send_packets(from, from->pool, 1, 3, from->frame_max, 0);
	expect_packets(to, 1, 3, from->frame_max, 0);
	assert_int_equal(stats_of(from).tx_failed, 0);
	assert_int_equal(stats_of(to).rx_dropped, 0);
}

static void frames_may_have_any_size(void **ctx)
{
	static const uint32_t sizes[] = { 2048, 2500, 3000, 4096, 9216 };
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct shunt_memory *memory = memory_of(3000, sizes[i]);
		struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off");
		struct shunt_port *to = fed_port(memory, "af_xdp:b0,rx=on,tx=off", 0);

		assert_int_equal(number_of(to, "memory", "unaligned"),
				 sizes[i] != 2048 && sizes[i] != 4096);
		pass_all_lengths(from, to, 31);
		shunt_port_close(from);
		shunt_port_close(to);
		assert_int_equal(shunt_memory_free_frames(memory), 3000);
		shunt_memory_close(memory);
	}
}

static void a_port_makes_the_pool_that_it_is_told_to(void **ctx)
{
	struct shunt_port *from =
		port_on(NULL, "af_xdp:a0,rx=off,frames=1K,frame-bytes=2048");
	/* huge pages where there are any: else ordinary ones, and it says so */
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off,huge", 0);

	(void)ctx;
	assert_int_equal(number_of(from, "memory", "frames"), 1024);
	assert_int_equal(number_of(from, "memory", "frame_bytes"), 2048);
	assert_int_equal(number_of(from, "memory", "shared"), 0);
	assert_int_equal(number_of(to, "memory", "huge_pages"),
			 shunt_memory_of(to->pool)->huge);
	pass_all_lengths(from, to, 101);
	shunt_port_close(from);
	shunt_port_close(to);
}

static void widen(void)
{
	command("for i in a0 b0 c0 d0; do ip link set $i mtu 9000; done");
}

/* Packets of several frames are new in Linux 6.6. */
static void need_several_frames(void)
{
	struct shunt_port *port = port_on(NULL, "af_xdp:a0,rx=off");
	bool can = port->caps & SHUNT_PORT_MULTI;

	shunt_port_close(port);
	if (!can)
		skip();
}

static void jumbo_packets_come_in_several_frames(void **ctx)
{
	static const uint32_t sizes[] = { 2048, 3000, 4096 };
	size_t i;

	(void)ctx;
	widen();
	need_several_frames();
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct shunt_memory *memory = memory_of(3000, sizes[i]);
		struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off");
		struct shunt_port *to = fed_port(memory, "af_xdp:b0,rx=on,tx=off", 0);

		assert_true(from->caps & to->caps & SHUNT_PORT_MULTI);
		assert_int_equal(from->frame_max, 9018);
		pass_all_lengths(from, to, 251);
		assert_int_equal(stats_of(from).tx_copied, 0);
		shunt_port_close(from);
		shunt_port_close(to);
		assert_int_equal(shunt_memory_free_frames(memory), 3000);
		shunt_memory_close(memory);
	}
}

static void a_packet_that_nobody_makes_room_for_is_counted_as_lost(void **ctx)
{
	struct shunt_port *from, *to;
	struct shunt_frame frames[2];

	(void)ctx;
	widen();
	need_several_frames();
	from = port_on(NULL, "af_xdp:a0,rx=off");
	to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off,queues=0", 0);
	send_and_arrive(from, 0, 2, 9000, 0);
	assert_int_equal(shunt_port_rx(to, frames, 2), 0);
	assert_int_equal(stats_of(to).rx_dropped, 1);
	expect_packets(to, 1, 1, 9000, 0);
	send_packets(from, from->pool, 2, 2, 1000, 0);
	expect_packets(to, 2, 2, 1000, 0);
	shunt_port_close(from);
	shunt_port_close(to);
}

/* From frames of one size into those of another, and from memory that is not ours. */
static void jumbo_packets_are_copied_where_frames_differ(void **ctx)
{
	struct shunt_memory *large;
	struct shunt_port *from, *to;

	(void)ctx;
	widen();
	need_several_frames();
	large = memory_of(512, 16384);
	from = port_on(NULL, "af_xdp:a0,rx=off,frame-bytes=2048");
	to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off", 0);
	send_packets(from, &large->pool, 0, 40, 9000, 0);
	expect_packets(to, 0, 40, 9000, 0);
	assert_int_equal(stats_of(from).tx_copied, 40);
	assert_int_equal(shunt_memory_free_frames(large), 512);
	shunt_port_close(from);
	shunt_port_close(to);
	shunt_memory_close(large);
}

static void without_several_frames_jumbo_packets_are_counted_as_lost(void **ctx)
{
	struct shunt_port *from, *to;
	struct shunt_frame frames[4];

	(void)ctx;
	widen();
	need_several_frames();
	from = port_on(NULL, "af_xdp:a0,rx=off");
	to = fed_port(NULL, "af_xdp:b0,rx=on,multi-buffer=off", 0);
	assert_int_equal(to->caps & SHUNT_PORT_MULTI, 0);
	send_packets(from, from->pool, 0, 5, 9000, 0);
	send_packets(from, from->pool, 5, 5, 1000, 0);
	expect_packets(to, 5, 5, 1000, 0);
	assert_int_equal(stats_of(to).rx_dropped, 5);
	/* and such a port takes none for transmission */
	assert_int_equal(make_packet(to->pool, frames, 0, 9000, 0), 3);
	assert_int_equal(shunt_port_tx(to, frames, 3), 3);
	assert_int_equal(stats_of(to).tx_refused, 1);
	shunt_port_close(from);
	shunt_port_close(to);
}

/* --- a policy's consumer --------------------------------------------------------------------- */

/* It is not watched: the test takes its time between two looks. */
#define POLICY                                                                         \
	"{\"schema\":\"shunt.policy/1\",\"default\":\"drop\",\"consumers\":{\"c\":{"   \
	"\"kind\":\"xsk\",\"if_down\":\"drop\",\"heartbeat\":\"off\"},\"r\":{"         \
	"\"kind\":\"ring\",\"if_down\":"                                               \
	"\"drop\"}},\"rules\":[{\"name\":\"c\",\"match\":{},"                          \
	"\"action\":{\"redirect\":{\"consumer\":\"c\"}}}]}"

static void attach_policy(const char *interface)
{
	char path[] = "/tmp/shunt-test-XXXXXX";
	int fd = mkstemp(path);
	struct shunt_policy *policy = NULL;
	cJSON *reply = NULL;
	struct shunt_err err;

	assert_int_equal(write(fd, POLICY, strlen(POLICY)), strlen(POLICY));
	close(fd);
	if (shunt_check(path, &policy, &reply, &err))
		fail_msg("%s", err.message);
	unlink(path);
	cJSON_Delete(reply);
	if (shunt_attach(interface, policy, NULL, &reply, &err))
		fail_msg("%s", err.message);
	cJSON_Delete(reply);
	shunt_policy_free(policy);
}

/* A number of the first seat in the ledger, which has to balance; null is 0. */
static double seat_number(const char *interface, const char *key)
{
	cJSON *reply, *read, *consumer, *seat, *item;
	struct shunt_err err;
	char *text;
	double value;

	if (shunt_balance(interface, &reply, &err))
		fail_msg("%s", err.message);
	/* large numbers lie in it as text */
	text = cJSON_PrintUnformatted(reply);
	read = cJSON_Parse(text);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(read, "balanced")));
	consumer = cJSON_GetArrayItem(cJSON_GetObjectItem(read, "consumers"), 0);
	seat = cJSON_GetArrayItem(cJSON_GetObjectItem(consumer, "seats"), 0);
	item = cJSON_GetObjectItem(seat, key);
	assert_non_null(item);
	value = cJSON_IsNull(item) ? 0 : cJSON_GetNumberValue(item);
	cJSON_free(text);
	cJSON_Delete(read);
	cJSON_Delete(reply);
	return value;
}

/* Until the program has handed so many to the seat. */
static void wait_handed(const char *interface, double packets)
{
	uint64_t deadline = shunt_now_ns() + WAIT_NS;

	while (seat_number(interface, "handed") < packets)
		if (shunt_now_ns() > deadline)
			fail_msg("%g packets were not handed on", packets);
}

static void a_consumer_takes_its_seats_and_the_ledger_balances(void **ctx)
{
	struct shunt_port *from, *to;
	struct shunt_frame frame;

	(void)ctx;
	set_program("b0", NULL, 0);
	attach_policy("b0");
	from = port_on(NULL, "af_xdp:a0,rx=off");
	expect_refusal("af_xdp:b0,consumer=d", -ENOENT, "it has c, r");
	expect_refusal("af_xdp:b0,consumer=r", -EOPNOTSUPP,
		       "open ringbuf:b0,consumer=r");
	to = port_on(NULL, "af_xdp:b0,consumer=c,ring=64,queues=0");
	assert_string_equal(mode_of(to), "native");
	expect_refusal("af_xdp:b0,consumer=c,queues=0", -EBUSY, "already served");
	send_packets(from, from->pool, 0, 100, 100, 0);
	wait_handed("b0", 100);
	expect_packets(to, 0, 64, 100, 0);
	assert_int_equal(shunt_port_rx(to, &frame, 1), 0);
	assert_int_equal(stats_of(to).rx_ring_full, 36);
	assert_int_equal(seat_number("b0", "received"), 64);
	send_packets(from, from->pool, 0, 10, 100, 0);
	wait_handed("b0", 110);
	shunt_port_close(to);
	/* what nobody has read was thrown away, and is said so */
	assert_int_equal(seat_number("b0", "received"), 64);
	assert_int_equal(seat_number("b0", "discarded"), 10);
	assert_int_equal(seat_number("b0", "waiting"), 0);
	assert_int_equal(seat_number("b0", "pid"), 0);
	/* a successor goes on from there */
	to = port_on(NULL, "af_xdp:b0,consumer=c,queues=0");
	send_packets(from, from->pool, 0, 6, 100, 0);
	expect_packets(to, 0, 6, 100, 0);
	shunt_port_close(to);
	assert_int_equal(seat_number("b0", "received"), 70);
	shunt_port_close(from);
}

/* Pins outlive the namespace, also after a failure. */
static int detach_and_tear_down(void **ctx)
{
	struct shunt_err err;
	cJSON *reply;

	if (shunt_detach("b0", NULL, &reply, &err)) {
		print_error("%s\n", err.message);
		return -1;
	}
	cJSON_Delete(reply);
	return tear_down(ctx);
}

/* --- zero copy: on two NICs that can, joined by a wire (tests/vm/suite/zero-copy) --------------------- */

static const char *nic[2];

static int set_up_nics(void **ctx)
{
	(void)ctx;
	feed = xsk_feed_bpf__open_and_load();
	if (!feed)
		return -1;
	attach(nic[1], feed->progs.xsk_feed, XDP_FLAGS_DRV_MODE);
	return 0;
}

/* The NICs stay: so does what is attached to one, if nobody takes it off. */
static int tear_down_nics(void **ctx)
{
	if (bpf_xdp_detach((int)if_nametoindex(nic[1]), XDP_FLAGS_DRV_MODE, NULL))
		return -1;
	return tear_down(ctx);
}

static void zero_copy_is_taken_where_it_is_to_be_had(void **ctx)
{
	static const char *const modes[] = { "auto", "zero-copy", "copy" };
	struct shunt_memory *memory = memory_of(4096, 0);
	struct shunt_port *from, *to;
	char text[96];
	size_t i, k;

	(void)ctx;
	for (i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "af_xdp:%s,rx=off,mode=%s", nic[0],
			 modes[i]);
		from = port_on(memory, text);
		snprintf(text, sizeof(text), "af_xdp:%s,rx=on,tx=off,mode=%s", nic[1],
			 modes[i]);
		to = fed_port(memory, text, 0);
		assert_string_equal(mode_of(to), i < 2 ? "zero-copy" : "native");
		assert_string_equal(mode_of(from), i < 2 ? "zero-copy" : "copy");
		assert_int_equal(!!(to->caps & SHUNT_PORT_ZERO_COPY), i < 2);
		/* where it was given, or nobody has asked */
		assert_string_equal(refusal_of(to), "");
		for (k = 0; k < 100; k++) {
			uint32_t bytes = (uint32_t)(60 + k * 14);

			send_packets(from, from->pool, (uint32_t)k * 16, 16, bytes, 0);
			expect_packets(to, (uint32_t)k * 16, 16, bytes, 0);
		}
		assert_int_equal(stats_of(from).tx_copied, 0);
		shunt_port_close(from);
		shunt_port_close(to);
		assert_int_equal(shunt_memory_free_frames(memory), 4096);
	}
	shunt_memory_close(memory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		PORT_TEST(the_best_there_is_is_taken_and_told),
		PORT_TEST(what_is_insisted_on_is_given_or_refused),
		PORT_TEST(what_makes_no_sense_is_refused_in_words),
		PORT_TEST(a_transmit_budget_saves_system_calls),
		PORT_TEST(busy_polling_and_no_need_wakeup_still_move_packets),
		PORT_TEST(frames_may_have_any_size),
		PORT_TEST(a_port_makes_the_pool_that_it_is_told_to),
		PORT_TEST(jumbo_packets_come_in_several_frames),
		PORT_TEST(a_packet_that_nobody_makes_room_for_is_counted_as_lost),
		PORT_TEST(jumbo_packets_are_copied_where_frames_differ),
		PORT_TEST(without_several_frames_jumbo_packets_are_counted_as_lost),
		cmocka_unit_test_setup_teardown(
			a_consumer_takes_its_seats_and_the_ledger_balances, set_up,
			detach_and_tear_down),
	};

	const struct CMUnitTest on_nics[] = {
		cmocka_unit_test_setup_teardown(
			zero_copy_is_taken_where_it_is_to_be_had, set_up_nics,
			tear_down_nics),
	};

	libbpf_set_print(NULL);
	if (argc == 3) {
		memcpy(nic, argv + 1, sizeof(nic));
		return cmocka_run_group_tests(on_nics, NULL, NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
