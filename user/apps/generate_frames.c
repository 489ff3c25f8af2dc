/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/generate_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/rewrite.h"
#include "user/io/port.h"
#include "user/net/line.h"
#include "user/net/number.h"

#define STOCK_BYTES_MAX (256u << 20) /* of all frames: more is a mistake */
#define PIPE_WAIT_NS 100000000u
#define SRC_MAC_LOW 8 /* the last four bytes of it */

/* A frame as the variations need it. */
struct pattern {
	uint8_t *bytes;
	uint32_t len;
	uint32_t l3, l4; /* offsets; 0: none */
	uint32_t proto;
	uint32_t check; /* of the transport header; 0: none */
	bool ip4, ip6, udp;
};

void shunt_run_frames_free(struct shunt_run_frames *frames)
{
	free(frames->bytes);
	free(frames->frame);
	*frames = (struct shunt_run_frames){ .bytes = NULL };
}

/* --- changing words, and the sums over them -------------------------------------- */

static uint16_t word_at(const uint8_t *at)
{
	uint16_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static void put_word(uint8_t *at, uint16_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* Adds to a 16-bit number in network order; returns the change in a sum over it. */
static __u64 add_to(uint8_t *at, uint32_t n)
{
	uint16_t before = word_at(at), after = shunt_be16(shunt_be16(before) + n);

	put_word(at, after);
	return shunt_csum_change16(0, before, after);
}

static void sum_ip4(const struct pattern *p, __u64 change)
{
	uint8_t *at = p->bytes + p->l3 + __builtin_offsetof(struct shunt_ip4, checksum);

	put_word(at, shunt_csum_after(word_at(at), change));
}

static void sum_transport(const struct pattern *p, __u64 change)
{
	uint8_t *at = p->bytes + p->check;

	if (p->check)
		put_word(at, p->udp ? shunt_csum_after_udp(word_at(at), change)
				    : shunt_csum_after(word_at(at), change));
}

/* --- the pattern -------------------------------------------------------------------- */

static void look_at(struct pattern *p)
{
	struct shunt_number_place place;
	struct shunt_pkt pkt;
	const struct shunt_layer *l = &pkt.layer[SHUNT_OUTER];

	if (shunt_frame_parse(p->bytes, p->len, &pkt) >= 0)
		return;
	p->l3 = l->l3_off;
	p->ip4 = l->l3 == SHUNT_L3_IP4;
	p->ip6 = l->l3 == SHUNT_L3_IP6;
	p->l4 = l->l4_off;
	p->proto = l->field[SHUNT_FIELD_PROTO] ? l->field[SHUNT_FIELD_PROTO] - 1 : 0;
	if (shunt_number_find(p->bytes, p->len, &place))
		p->check = place.check;
	p->udp = p->proto == SHUNT_IP_UDP;
}

/* Makes payload and lengths `more` bytes longer; the bytes are there, and are 0. */
static int stretch(struct pattern *p, uint32_t more, struct shunt_err *err)
{
	__u64 change;

	p->len += more;
	if (!p->l3 || !more)
		return 0;
	if (p->proto == SHUNT_IP_SCTP)
		return shunt_fail(err, -EINVAL,
				  "generate: the checksum of SCTP covers its payload: "
				  "leave --size out, or choose another --proto");
	if (p->ip4)
		sum_ip4(p, add_to(p->bytes + p->l3 +
					  __builtin_offsetof(struct shunt_ip4, length),
				  more));
	else
		add_to(p->bytes + p->l3 + __builtin_offsetof(struct shunt_ip6, length),
		       more);
	if (!p->l4)
		return 0;
	/* the length is in the pseudo header, but for ICMP, and that of UDP in both */
	change = p->proto == SHUNT_IP_ICMP
			 ? 0
			 : shunt_csum_change16(0, 0, shunt_be16(more));
	if (p->udp)
		change += add_to(p->bytes + p->l4 +
					 __builtin_offsetof(struct shunt_udp, length),
				 more);
	sum_transport(p, change);
	return 0;
}

/* The frame's own number of the flow, in what tells flows apart. */
static void vary(const struct pattern *p, uint32_t flow)
{
	uint32_t low =
		p->l3 + (p->ip4 ? __builtin_offsetof(struct shunt_ip4, src)
				: __builtin_offsetof(struct shunt_ip6, src) + 12);
	__u64 change;

	if (!p->l3) {
		add_to(p->bytes + SRC_MAC_LOW + 2, flow);
		return;
	}
	if (p->l4 && shunt_has_ports(p->proto)) {
		sum_transport(p, add_to(p->bytes + p->l4, flow));
		return;
	}
	change = add_to(p->bytes + low + 2, flow);
	if (p->ip4)
		sum_ip4(p, change);
	if (p->proto != SHUNT_IP_ICMP) /* which has no pseudo header */
		sum_transport(p, change);
}

/* --- the stock ---------------------------------------------------------------------- */

static int stock_room(struct shunt_run_frames *frames, uint32_t count, uint64_t bytes,
		      struct shunt_err *err)
{
	*frames = (struct shunt_run_frames){ .bytes = NULL };
	if (bytes > STOCK_BYTES_MAX)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: %u frames of together %llu bytes are more "
				  "than the %u that are kept: choose fewer or shorter "
				  "ones",
				  count, (unsigned long long)bytes, STOCK_BYTES_MAX);
	frames->bytes = calloc(1, bytes);
	frames->frame = calloc(count, sizeof(*frames->frame));
	if (frames->bytes && frames->frame)
		return 0;
	shunt_run_frames_free(frames);
	return shunt_fail_errno(err, -ENOMEM, "generate: keep %u frames", count);
}

static void add_flow(struct shunt_run_frames *frames, const struct pattern *pattern,
		     const struct shunt_number_place *place)
{
	struct shunt_run_frame *to = &frames->frame[frames->count];
	struct pattern one = *pattern;

	to->at = frames->count * pattern->len;
	to->len = pattern->len;
	if (place) {
		to->payload = place->payload;
		to->check = place->check;
		to->udp = place->udp;
	}
	one.bytes = frames->bytes + to->at;
	memcpy(one.bytes, pattern->bytes, pattern->len);
	vary(&one, frames->count++);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* How long a frame has to be, and is to be. */
static int choose_size(uint32_t *size, uint32_t bytes,
		       const struct shunt_number_place *place,
		       const struct shunt_generate_opts *opts, struct shunt_err *err)
{
	uint32_t least = bytes;

	if (place)
		least = larger(least, place->payload + SHUNT_NUMBER_BYTES);
	*size = opts->size ? opts->size : larger(least, SHUNT_GENERATE_SIZE_MIN);
	if (*size < least)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: frames like that have %u bytes at least, "
				  "not %u",
				  least, *size);
	if (*size > UINT16_MAX)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: a frame of %u bytes is none of Ethernet",
				  *size);
	return 0;
}

static int make_pattern(struct pattern *pattern, uint8_t *room, uint32_t bytes,
			struct shunt_number_place *place,
			const struct shunt_generate_opts *opts, struct shunt_err *err)
{
	uint32_t size;
	int ret;

	*pattern = (struct pattern){ .bytes = room, .len = bytes };
	look_at(pattern);
	if (opts->number && !shunt_number_find(room, bytes, place))
		return shunt_fail(err, -EINVAL,
				  "generate: numbers go behind a header of TCP, UDP or "
				  "ICMP, and this frame has none: add --proto udp, or "
				  "leave --number out");
	ret = choose_size(&size, bytes, opts->number ? place : NULL, opts, err);
	if (!ret)
		ret = stretch(pattern, size - bytes, err);
	if (!ret && opts->number)
		shunt_number_mark(room, place);
	return ret;
}

int shunt_generate_template(struct shunt_run_frames *frames, const uint8_t *frame,
			    uint32_t bytes, const struct shunt_generate_opts *opts,
			    struct shunt_err *err)
{
	uint32_t flows = opts->flows ? opts->flows : 1, i;
	uint8_t *room = calloc(1, UINT16_MAX + 1);
	struct shunt_number_place place;
	struct pattern pattern;
	int ret;

	if (!room)
		return shunt_fail_errno(err, -ENOMEM, "generate");
	memcpy(room, frame, bytes);
	ret = make_pattern(&pattern, room, bytes, &place, opts, err);
	if (!ret)
		ret = stock_room(frames, flows, (uint64_t)flows * pattern.len, err);
	for (i = 0; !ret && i < flows; i++)
		add_flow(frames, &pattern, opts->number ? &place : NULL);
	if (!ret)
		frames->longest = pattern.len;
	free(room);
	return ret;
}

/* --- captures ----------------------------------------------------------------------- */

/* Doubles what is too small; false: there is no memory, or the capture is too large. */
static bool grow(struct shunt_run_frames *frames, uint64_t used, uint64_t *room,
		 uint32_t more)
{
	uint64_t bytes = *room ? *room : 1u << 16;
	void *to;

	if (!(frames->count & (frames->count - 1))) { /* its room is a power of two */
		to = reallocarray(frames->frame, frames->count ? frames->count * 2 : 1,
				  sizeof(*frames->frame));
		if (!to)
			return false;
		frames->frame = to;
	}
	while (used + more > bytes)
		bytes *= 2;
	if (bytes == *room)
		return true;
	to = bytes > STOCK_BYTES_MAX ? NULL : realloc(frames->bytes, bytes);
	if (!to)
		return false;
	frames->bytes = to;
	*room = bytes;
	return true;
}

static int read_all(struct shunt_run_frames *frames, struct shunt_port *port,
		    struct shunt_err *err)
{
	struct shunt_frame burst[SHUNT_BURST];
	uint64_t used = 0, room = 0;
	unsigned int n, i, one;
	uint32_t bytes;
	int ret = 0;

	while ((n = shunt_port_rx(port, burst, SHUNT_BURST)) || !port->ended) {
		/* a file that cannot be read says so here; a pipe may be slow */
		if (!n && ((ret = shunt_port_kick(port, err)) ||
			   (ret = shunt_port_sleep(&port, 1, PIPE_WAIT_NS))))
			return ret;
		for (i = 0; i < n && !ret; i += one) {
			one = shunt_packet_frames(burst + i, n - i, &bytes);
			if (!one || !grow(frames, used, &room, bytes)) {
				ret = -ENOMEM;
				break;
			}
			shunt_packet_copy(frames->bytes + used, burst + i, one);
			frames->frame[frames->count++] =
				(struct shunt_run_frame){ .at = (uint32_t)used,
							  .len = bytes };
			frames->longest = larger(frames->longest, bytes);
			used += bytes;
		}
		shunt_frames_put(burst, n);
		if (ret)
			return shunt_fail(
				err, ret,
				"generate: %s has more than the %u bytes that "
				"are kept, or there is no memory",
				port->name, STOCK_BYTES_MAX);
	}
	return frames->count ? 0
			     : shunt_fail(err, -ENODATA, "generate: %s has no packet",
					  port->name);
}

int shunt_generate_capture(struct shunt_run_frames *frames, const char *path,
			   struct shunt_err *err)
{
	char text[SHUNT_RUN_SPEC];
	struct shunt_port *port;
	int ret;

	*frames = (struct shunt_run_frames){ .bytes = NULL };
	if (strchr(path, ',') || strlen(path) + 6 > sizeof(text))
		return shunt_fail(
			err, -EINVAL,
			"generate: the name \"%s\" has a comma, or is too long", path);
	snprintf(text, sizeof(text), "pcap:%s", path);
	ret = shunt_port_open(&port, text, NULL, err);
	if (ret)
		return ret;
	ret = read_all(frames, port, err);
	shunt_port_close(port);
	if (ret)
		shunt_run_frames_free(frames);
	return ret;
}
