/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/stream.h"

#include <errno.h>

#include "user/rt/pool.h"
#include "user/transport/heap.h"

/* --- receiving --------------------------------------------------------------------------- */

static void put(struct shunt_frame *frame)
{
	shunt_frames_put(frame, 1);
	*frame = (struct shunt_frame){ 0 };
}

void shunt_stream_in_close(struct shunt_stream_in *in)
{
	put(&in->frame);
	put(&in->more);
	in->room = 0;
}

/* This frame is all that has come. */
static void move_in(struct shunt_stream_in *in, struct shunt_frame frame)
{
	put(&in->frame);
	in->frame = frame;
	in->room = frame.len;
}

/* What has come goes on in this empty frame. */
static void move_to(struct shunt_stream_in *in, struct shunt_frame frame, uint32_t room)
{
	if (in->frame.len)
		memcpy(frame.data, in->frame.data, in->frame.len);
	frame.len = in->frame.len;
	put(&in->frame);
	in->frame = frame;
	in->room = room;
}

/* Into a frame with at least so much room. False: there is none. */
static bool make_room(struct shunt_stream_in *in, struct shunt_transport *transport,
		      uint32_t bytes)
{
	uint32_t room = transport->pool->room;
	struct shunt_frame frame;

	if (in->frame.pool && bytes <= in->room)
		return true;
	if (!shunt_transport_frame(transport, &frame, bytes))
		return false;
	move_to(in, frame, bytes > room ? bytes : room);
	return true;
}

/* As shunt_wire_span() of what has come. */
static int64_t span_of(const struct shunt_stream_in *in,
		       const struct shunt_transport *transport)
{
	return shunt_wire_span(in->frame.data, in->frame.len,
			       (uint32_t)transport->options.message_max);
}

bool shunt_stream_room(struct shunt_stream_in *in, struct shunt_transport *transport,
		       void **to, uint32_t *bytes)
{
	if (!make_room(in, transport, 1))
		return false;
	*to = in->frame.data + in->frame.len;
	*bytes = in->room - in->frame.len;
	return true;
}

void shunt_stream_came(struct shunt_stream_in *in, uint32_t bytes)
{
	in->frame.len += bytes;
	if (!in->frame.len)
		put(&in->frame);
}

void shunt_stream_feed(struct shunt_stream_in *in, const struct shunt_frame *frame)
{
	if (in->frame.len)
		in->more = *frame;
	else
		move_in(in, *frame);
}

/* As much of what was fed as the message still takes: false if nothing was. */
static bool draw(struct shunt_stream_in *in, uint32_t wanted)
{
	uint32_t bytes = wanted - in->frame.len;

	if (!in->more.len)
		return false;
	if (bytes > in->more.len)
		bytes = in->more.len;
	memcpy(in->frame.data + in->frame.len, in->more.data, bytes);
	in->frame.len += bytes;
	in->more.data += bytes;
	in->more.len -= bytes;
	if (!in->more.len)
		put(&in->more);
	return true;
}

/* The message that begins what has come is whole. */
static int take(struct shunt_stream_in *in, struct shunt_transport *transport,
		uint32_t span, struct shunt_frame *message)
{
	if (span == in->frame.len) {
		*message = in->frame;
		in->frame = (struct shunt_frame){ 0 };
		return 1;
	}
	if (!shunt_transport_frame(transport, message, span))
		return -ENOBUFS;
	memcpy(message->data, in->frame.data, span);
	message->len = span;
	in->frame.data += span;
	in->frame.len -= span;
	in->room -= span;
	return 1;
}

int shunt_stream_next(struct shunt_stream_in *in, struct shunt_transport *transport,
		      struct shunt_frame *message)
{
	for (;;) {
		int64_t span;
		uint32_t wanted;

		if (!in->frame.len) {
			put(&in->frame);
			if (!in->more.len)
				return 0;
			move_in(in, in->more);
			in->more = (struct shunt_frame){ 0 };
		}
		span = span_of(in, transport);
		if (span < 0)
			return (int)span;
		if (span && span <= in->frame.len)
			return take(in, transport, (uint32_t)span, message);
		wanted = span ? (uint32_t)span : SHUNT_WIRE_BYTES;
		if (!make_room(in, transport, wanted))
			return -ENOBUFS;
		if (!draw(in, wanted))
			return 0;
	}
}

bool shunt_stream_spill(struct shunt_stream_in *in, struct shunt_transport *transport)
{
	int64_t span = span_of(in, transport);
	uint32_t wanted = span > 0 ? (uint32_t)span : SHUNT_WIRE_BYTES;
	struct shunt_frame frame;

	if (in->frame.pool != transport->pool || !in->frame.len ||
	    in->frame.len > wanted || !shunt_heap_frame(&frame, wanted))
		return false;
	move_to(in, frame, wanted);
	return true;
}

/* --- sending -------------------------------------------------------------------------- */

static struct shunt_frame *at(struct shunt_stream_out *out, uint32_t place)
{
	return &out->frames[place % SHUNT_STREAM_BACKLOG];
}

void shunt_stream_out_close(struct shunt_stream_out *out)
{
	while (shunt_stream_waiting(out))
		shunt_frames_put(at(out, out->tail++), 1);
}

bool shunt_stream_push(struct shunt_stream_out *out, const struct shunt_frame *frame)
{
	if (shunt_stream_waiting(out) == SHUNT_STREAM_BACKLOG)
		return false;
	*at(out, out->head++) = *frame;
	return true;
}

unsigned int shunt_stream_iov(const struct shunt_stream_out *out, struct iovec *iov,
			      unsigned int max)
{
	unsigned int n = shunt_stream_waiting(out), i;

	if (n > max)
		n = max;
	for (i = 0; i < n; i++) {
		const struct shunt_frame *frame =
			&out->frames[(out->tail + i) % SHUNT_STREAM_BACKLOG];

		iov[i] = (struct iovec){ .iov_base = frame->data,
					 .iov_len = frame->len };
	}
	return n;
}

unsigned int shunt_stream_wrote(struct shunt_stream_out *out, uint64_t bytes)
{
	unsigned int ended = 0;

	while (shunt_stream_waiting(out)) {
		struct shunt_frame *frame = at(out, out->tail);

		if (bytes < frame->len) {
			frame->data += bytes;
			frame->len -= (uint32_t)bytes;
			break;
		}
		bytes -= frame->len;
		shunt_frames_put(frame, 1);
		out->tail++;
		ended++;
	}
	return ended;
}
