/* SPDX-License-Identifier: BSD-2-Clause */
/* What packet sockets do to frames, and what a port over them makes up for. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#include "tests/io/suite/wire.h"
#include "user/base/clock.h"
#include "user/io/port.h"

#define DEADLINE_NS UINT64_C(5000000000)
#define IP_AT 14
#define UDP_AT 34

static struct wire wire;
static const char *ring; /* which kind of receive ring is tried */

static int begin(void **state)
{
	(void)state;
	wire_open(&wire, WIRE_MTU);
	return 0;
}

static int end(void **state)
{
	(void)state;
	wire_close(&wire);
	return 0;
}

static struct shunt_port *opened(const char *options)
{
	struct shunt_port *port;
	struct shunt_err err = { "" };
	char text[128];

	snprintf(text, sizeof(text), "af_packet:%s,ring=%s%s", WIRE_NEAR, ring,
		 options);
	if (shunt_port_open(&port, text, NULL, &err))
		fail_msg("%s", err.message);
	return port;
}

static struct shunt_frame next(struct shunt_port *port)
{
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;
	struct shunt_frame frame;

	while (!shunt_port_rx(port, &frame, 1)) {
		assert_true(shunt_now_ns() < deadline);
		assert_int_equal(shunt_port_sleep(&port, 1, DEADLINE_NS), 0);
	}
	return frame;
}

static void arrives(struct shunt_port *port, const uint8_t *bytes, uint32_t len)
{
	struct shunt_frame frame = next(port);

	assert_int_equal(frame.len, len);
	assert_memory_equal(frame.data, bytes, len);
	shunt_frames_put(&frame, 1);
}

/* A frame with a type and, behind it, bytes that rise from `first` on. */
static void fill(uint8_t *frame, uint32_t len, uint16_t type, uint8_t first)
{
	static const uint8_t addresses[] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };
	uint32_t at;

	memcpy(frame, addresses, sizeof(addresses));
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	for (at = 14; at < len; at++)
		frame[at] = (uint8_t)(first + at);
}

/* The kernel takes the outer tag off and tells of it: it is put back where it was. */
static void tags_are_put_back(void **state)
{
	struct shunt_port *port = opened("");
	uint8_t frame[WIRE_MTU + 18];

	(void)state;
	for (uint32_t len = 60; len <= sizeof(frame); len += 97) {
		fill(frame, len, ETHERTYPE_VLAN, (uint8_t)len);
		frame[16] = 0x88; /* behind the tag: a type for experiments */
		frame[17] = 0xb5;
		wire_send(&wire, frame, len);
		arrives(port, frame, len);
	}
	/* a provider's tag, and a customer's behind it */
	fill(frame, 100, 0x88a8, 1);
	frame[14] = 0x60;
	frame[16] = 0x81;
	frame[17] = 0x00;
	frame[20] = 0x88;
	frame[21] = 0xb5;
	wire_send(&wire, frame, 100);
	arrives(port, frame, 100);
	shunt_port_close(port);
}

/* --- checksums --------------------------------------------------------------------------- */

static uint16_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Byte by byte, so that it has nothing in common with the port's. */
static uint32_t summed(const uint8_t *bytes, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

/* An IPv4 and UDP packet whose checksum is left to a NIC: returns the right one. */
static uint16_t fill_udp(uint8_t *frame, uint32_t payload, uint8_t first)
{
	static const uint8_t head[] = { 0x45, 0, 0,   0, 0, 0, 0,   0, 64, 17,
					0,    0, 192, 0, 2, 1, 192, 0, 2,  2 };
	uint32_t udp = payload + 8, pseudo, sum;

	fill(frame, UDP_AT + udp, ETHERTYPE_IP, first);
	memcpy(frame + IP_AT, head, sizeof(head));
	frame[IP_AT + 2] = (uint8_t)((udp + 20) >> 8);
	frame[IP_AT + 3] = (uint8_t)(udp + 20);
	sum = (uint16_t)~folded(summed(frame + IP_AT, 20));
	frame[IP_AT + 10] = (uint8_t)(sum >> 8);
	frame[IP_AT + 11] = (uint8_t)sum;
	frame[UDP_AT + 4] = (uint8_t)(udp >> 8);
	frame[UDP_AT + 5] = (uint8_t)udp;
	pseudo = folded(summed(frame + IP_AT + 12, 8) + 17 + udp);
	frame[UDP_AT + 6] = (uint8_t)(pseudo >> 8);
	frame[UDP_AT + 7] = (uint8_t)pseudo;
	sum = (uint16_t)~folded(summed(frame + UDP_AT, udp));
	return sum ? (uint16_t)sum : 0xffff;
}

static void send_offloaded(int fd, const uint8_t *frame, uint32_t len)
{
	const struct virtio_net_hdr offload = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						.csum_start = UDP_AT,
						.csum_offset = 6 };
	uint8_t bytes[sizeof(offload) + WIRE_MTU + 14];

	memcpy(bytes, &offload, sizeof(offload));
	memcpy(bytes + sizeof(offload), frame, len);
	assert_int_equal(send(fd, bytes, sizeof(offload) + len, 0),
			 sizeof(offload) + len);
}

static void checksums_are_filled_in(void **state)
{
	struct shunt_port *port = opened("");
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
					.sll_ifindex = (int)if_nametoindex(WIRE_FAR) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
	uint8_t frame[WIRE_MTU + 14];

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)),
			 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	for (uint32_t payload = 0; payload <= WIRE_MTU - 28; payload++) {
		uint16_t sum = fill_udp(frame, payload, (uint8_t)(payload * 3));

		send_offloaded(fd, frame, UDP_AT + 8 + payload);
		frame[UDP_AT + 6] = (uint8_t)(sum >> 8);
		frame[UDP_AT + 7] = (uint8_t)sum;
		arrives(port, frame, UDP_AT + 8 + payload);
	}
	close(fd);
	shunt_port_close(port);
}

/* --- what is received ---------------------------------------------------------------------- */

static void what_goes_out_is_not_received(void **state)
{
	struct shunt_port *port = opened(""), *other = opened("");
	struct shunt_frame frame;
	uint8_t bytes[100];

	(void)state;
	for (uint8_t i = 0; i < 8; i++) {
		fill(bytes, sizeof(bytes), 0x88b5, i);
		assert_int_equal(shunt_packet_fill(port->pool, bytes, sizeof(bytes),
						   &frame, 1),
				 1);
		assert_int_equal(shunt_port_tx(port, &frame, 1), 1);
		assert_int_equal(shunt_port_kick(port, NULL), 0);
	}
	fill(bytes, sizeof(bytes), 0x88b5, 99);
	wire_send(&wire, bytes, sizeof(bytes));
	arrives(port, bytes, sizeof(bytes));
	arrives(other, bytes, sizeof(bytes));
	shunt_port_close(port);
	shunt_port_close(other);
}

static void frames_bear_their_time(void **state)
{
	struct shunt_port *port = opened("");
	struct shunt_frame frame;
	struct timespec before, after;
	uint8_t bytes[60];
	uint64_t time_ns;

	(void)state;
	fill(bytes, sizeof(bytes), 0x88b5, 0);
	clock_gettime(CLOCK_REALTIME, &before);
	wire_send(&wire, bytes, sizeof(bytes));
	frame = next(port);
	clock_gettime(CLOCK_REALTIME, &after);
	time_ns = shunt_frame_time(&frame);
	assert_in_range(time_ns, before.tv_sec * 1000000000u + before.tv_nsec,
			after.tv_sec * 1000000000u + after.tv_nsec);
	shunt_frames_put(&frame, 1);
	shunt_port_close(port);
}

/* Headers can be put in front of a frame without harm to its neighbours. */
static void there_is_headroom(void **state)
{
	struct shunt_port *port = opened("");
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;
	struct shunt_frame frames[16];
	uint8_t bytes[200];
	unsigned int n = 0, i;

	(void)state;
	for (i = 0; i < 16; i++) {
		fill(bytes, sizeof(bytes), 0x88b5, (uint8_t)i);
		wire_send(&wire, bytes, sizeof(bytes));
	}
	while (n < 16 && shunt_now_ns() < deadline)
		n += shunt_port_rx(port, frames + n, 16 - n);
	assert_int_equal(n, 16);
	for (i = 0; i < 16; i++)
		memset(frames[i].data - frames[i].pool->headroom, 0xee,
		       frames[i].pool->headroom);
	for (i = 0; i < 16; i++) {
		fill(bytes, sizeof(bytes), 0x88b5, (uint8_t)i);
		assert_memory_equal(frames[i].data, bytes, sizeof(bytes));
	}
	assert_in_range(frames[0].pool->headroom, 32, 4096);
	shunt_frames_put(frames, 16);
	shunt_port_close(port);
}

/* Two ports of a group share what comes; each frame is received once. */
static void a_fanout_group_shares(void **state)
{
	struct shunt_port *port[2] = { opened(",fanout=7,fanout-mode=lb"),
				       opened(",fanout=7,fanout-mode=lb") };
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;
	unsigned int got[2] = { 0, 0 }, i;
	struct shunt_frame frames[64];
	struct shunt_err err = { "" };
	struct shunt_port *odd;
	uint8_t bytes[60];

	(void)state;
	for (i = 0; i < 64; i++) {
		fill(bytes, sizeof(bytes), 0x88b5, (uint8_t)i);
		wire_send(&wire, bytes, sizeof(bytes));
	}
	while (got[0] + got[1] < 64 && shunt_now_ns() < deadline)
		for (i = 0; i < 2; i++) {
			unsigned int n = shunt_port_rx(port[i], frames, 64);

			shunt_frames_put(frames, n);
			got[i] += n;
		}
	assert_int_equal(got[0], 32);
	assert_int_equal(got[1], 32);
	assert_true(shunt_port_open(&odd, "af_packet:io0,fanout=7,fanout-mode=cpu",
				    NULL, &err) < 0);
	assert_non_null(strstr(err.message, "fanout group 7"));
	shunt_port_close(port[0]);
	shunt_port_close(port[1]);
}

/* --- lengths -------------------------------------------------------------------------------- */

static void set_mtu(const char *interface, int mtu)
{
	struct ifreq request = { .ifr_mtu = mtu };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
	close(fd);
}

static int takes(struct shunt_port *port, uint32_t len, uint16_t type)
{
	uint64_t before = port->count.tx_refused;
	struct shunt_frame frame;
	uint8_t bytes[WIRE_MTU + 64];

	fill(bytes, len, type, 0);
	assert_int_equal(shunt_packet_fill(port->pool, bytes, len, &frame, 1), 1);
	assert_int_equal(shunt_port_tx(port, &frame, 1), 1);
	assert_int_equal(shunt_port_kick(port, NULL), 0);
	return port->count.tx_refused == before;
}

static void a_filter_keeps_the_rest_away(void **state)
{
	struct shunt_port *port = opened(",filter=ether proto 0x88b6"), *wrong;
	struct shunt_err err = { "" };
	uint8_t frame[100];

	(void)state;
	fill(frame, sizeof(frame), 0x88b5, 1);
	wire_send(&wire, frame, sizeof(frame));
	fill(frame, sizeof(frame), 0x88b6, 2);
	wire_send(&wire, frame, sizeof(frame));
	arrives(port, frame, sizeof(frame));
	shunt_port_close(port);
	assert_int_equal(shunt_port_open(&wrong,
					 "af_packet:" WIRE_NEAR ",filter=how so", NULL,
					 &err),
			 -EINVAL);
	assert_non_null(strstr(err.message, "filter=how so"));
}

static void a_tag_may_be_longer_than_the_mtu(void **state)
{
	struct shunt_port *port = opened("");
	uint8_t bytes[2048];

	(void)state;
	assert_int_equal(port->frame_max, WIRE_MTU + 14);
	assert_false(takes(port, WIRE_MTU + 15, 0x88b5));
	assert_false(takes(port, WIRE_MTU + 18, 0x88b5));
	assert_false(takes(port, WIRE_MTU + 19, ETHERTYPE_VLAN));
	assert_true(takes(port, WIRE_MTU + 18, ETHERTYPE_VLAN));
	/* the raw socket is given it without its tag */
	assert_int_equal(wire_receive(&wire, bytes, sizeof(bytes), 5000),
			 WIRE_MTU + 14);
	shunt_port_close(port);
}

static void a_smaller_mtu_is_noticed(void **state)
{
	struct shunt_port *port = opened("");
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;

	(void)state;
	set_mtu(WIRE_NEAR, 1000);
	while (port->frame_max != 1014 && shunt_now_ns() < deadline)
		assert_int_equal(shunt_port_kick(port, NULL), 0);
	assert_false(takes(port, 1015, 0x88b5));
	assert_true(takes(port, 1014, 0x88b5));
	shunt_port_close(port);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(tags_are_put_back),
		TEST(checksums_are_filled_in),
		TEST(what_goes_out_is_not_received),
		TEST(frames_bear_their_time),
		TEST(there_is_headroom),
		TEST(a_fanout_group_shares),
		TEST(a_filter_keeps_the_rest_away),
		TEST(a_tag_may_be_longer_than_the_mtu),
		TEST(a_smaller_mtu_is_noticed),
	};

	int failed;

	wire_enter();
	ring = "blocks";
	failed = cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
	ring = "slots,tx-ring=off";
	return failed + cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
