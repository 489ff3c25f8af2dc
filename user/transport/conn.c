/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint of connections: its life, and what comes in. */
#include "user/transport/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "user/transport/conn_impl.h"

#define MS 1000000ull
#define AGAIN_NS 50000u /* when what found no room is tried again */

static void draw(void *self, void *to, size_t bytes)
{
	(void)self;
	randombytes_buf(to, bytes);
}

struct shunt_conn_now shunt_conns_now(struct shunt_conns *conns)
{
	return (struct shunt_conn_now){ .ns = conns->now_ns, .random = draw };
}

/* --- open and close ----------------------------------------------------------------------- */

static void set_default(uint32_t *value, uint32_t otherwise)
{
	if (!*value)
		*value = otherwise;
}

static void fill_in(struct shunt_conns_opts *opts)
{
	set_default(&opts->connections, 64);
	set_default(&opts->half_open, 256);
	set_default(&opts->window_bytes, 256u << 10);
	set_default(&opts->window_messages, 1024);
	set_default(&opts->message_max, 64u << 10);
	set_default(&opts->keepalive_ms, 2000);
	set_default(&opts->dead_ms, 7000);
	set_default(&opts->connect_ms, 5000);
	set_default(&opts->retry_ms, 200);
	set_default(&opts->retry_max_ms, 10000);
	set_default(&opts->linger_ms, 2000);
}

static int check_opts(const struct shunt_conns_opts *opts, struct shunt_err *err)
{
	if (!opts->psk_file == !opts->psk)
		return shunt_fail(err, -EINVAL,
				  "connections: a key is needed, as a file of 32 bytes "
				  "or as these bytes, not both");
	if (opts->connections > SHUNT_CONNECTIONS_MAX)
		return shunt_fail(err, -EINVAL,
				  "connections: at most %u of them, not %u",
				  SHUNT_CONNECTIONS_MAX, opts->connections);
	if (opts->dead_ms <= opts->keepalive_ms)
		return shunt_fail(err, -EINVAL,
				  "connections: dead_ms (%u) must be longer than "
				  "keepalive_ms (%u), or every silence is death",
				  opts->dead_ms, opts->keepalive_ms);
	return 0;
}

static int check_transport(const struct shunt_transport *transport,
			   struct shunt_err *err)
{
	const uint32_t room = shunt_transport_datagram_max(transport);
	const uint32_t least = SHUNT_RELIABLE_ROOM_MIN + SHUNT_CONN_OVERHEAD;

	if (!transport->options.header)
		return shunt_fail(err, -EINVAL,
				  "connections over %s: they need a channel of their "
				  "own: leave header=off away",
				  transport->name);
	if (room < least)
		return shunt_fail(err, -EINVAL,
				  "connections over %s: a datagram has room for %u "
				  "bytes, %u are needed",
				  transport->name, room, least);
	return 0;
}

static void make_rules(struct shunt_conns *conns)
{
	const struct shunt_conns_opts *opts = &conns->opts;

	conns->rules.psk = conns->psk;
	conns->rules.keepalive_ns = opts->keepalive_ms * MS;
	conns->rules.dead_ns = opts->dead_ms * MS;
	conns->rules.connect_ns = opts->connect_ms * MS;
	conns->rules.half_ns = opts->connect_ms * MS;
	conns->rules.retry_ns = opts->retry_ms * MS;
	conns->rules.retry_max_ns = opts->retry_max_ms * MS;
}

static int open_parts(struct shunt_conns *conns, struct shunt_err *err)
{
	const struct shunt_conns_opts *opts = &conns->opts;
	uint8_t secret[SHUNT_PSK_BYTES];
	int ret;

	conns->rules.terms =
		(struct shunt_terms){ .window_bytes = opts->window_bytes,
				      .window_messages = opts->window_messages,
				      .message_max = opts->message_max };
	ret = shunt_reliable_terms(&conns->rules.terms, err);
	if (ret)
		return shunt_fail_in(err, ret, "connections: ");
	ret = opts->psk_file ? shunt_psk_read(&conns->psk, opts->psk_file, err)
			     : shunt_psk_open(&conns->psk, opts->psk, err);
	if (ret)
		return ret;
	make_rules(conns);
	randombytes_buf(secret, sizeof(secret));
	ret = shunt_conn_gate_open(&conns->gate, conns->psk, secret,
				   opts->connections + opts->half_open, err);
	sodium_memzero(secret, sizeof(secret));
	return ret ?: shunt_conn_places_open(conns, err);
}

int shunt_conns_open(struct shunt_conns **conns, struct shunt_transport *transport,
		     const struct shunt_conns_opts *opts, struct shunt_err *err)
{
	struct shunt_conns_opts filled = { 0 };
	int ret;

	memcpy(&filled, opts, opts->sz < sizeof(filled) ? opts->sz : sizeof(filled));
	fill_in(&filled);
	ret = check_opts(&filled, err) ?: check_transport(transport, err);
	if (ret)
		return ret;
	*conns = calloc(1, sizeof(**conns));
	if (!*conns)
		return shunt_fail(err, -ENOMEM, "no memory for connections");
	(*conns)->transport = transport;
	(*conns)->opts = filled;
	(*conns)->now_ns = shunt_now_ns();
	(*conns)->told_most = transport->options.buffers / 4;
	ret = open_parts(*conns, err);
	(*conns)->opts.psk = NULL;
	(*conns)->opts.psk_file = NULL;
	if (ret) {
		shunt_conns_close(*conns);
		*conns = NULL;
	}
	return ret;
}

static void say_goodbye(struct shunt_conns *conns)
{
	struct shunt_conn_step step;
	uint32_t i;

	conns->now_ns = shunt_now_ns();
	for (i = 0; conns->place && i < conns->opts.connections; i++) {
		struct shunt_conn_now now = shunt_conns_now(conns);
		struct shunt_conn *conn = conns->place[i];

		if (!conn)
			continue;
		shunt_conn_state_close(&conn->state, &now, &step);
		shunt_conn_out_send(conns, conn->peer, step.send, step.send_bytes);
	}
	if (!shunt_conn_out_flush(conns))
		(void)!shunt_transport_kick(conns->transport, NULL);
}

void shunt_conns_close(struct shunt_conns *conns)
{
	if (!conns)
		return;
	say_goodbye(conns);
	shunt_conn_places_close(conns);
	shunt_conn_session_drop_lent(conns);
	shunt_conn_out_close(conns);
	shunt_conn_gate_close(&conns->gate);
	shunt_psk_close(conns->psk);
	free(conns);
}

void shunt_conns_stats(const struct shunt_conns *conns, struct shunt_conns_stats *stats)
{
	*stats = conns->count;
}

/* --- callers ---------------------------------------------------------------------------------- */

static void admit(struct shunt_conns *conns, const struct shunt_message *message)
{
	struct shunt_conn_now now = shunt_conns_now(conns);
	struct shunt_conn_hello_packet hello;
	struct shunt_conn *conn = NULL;
	struct shunt_conn_step step;
	enum shunt_conn_outcome outcome;
	uint32_t id;

	memcpy(&hello, message->frame.data, sizeof(hello));
	if (conns->half < conns->opts.half_open)
		conn = shunt_conn_make(conns, &id);
	if (!conn) {
		conns->count.refused++;
		return;
	}
	if (!shunt_conn_gate_enter(&conns->gate, now.ns, &hello, id)) {
		conns->count.refused++;
		shunt_conn_free(conn);
		return;
	}
	outcome = shunt_conn_state_answer(&conn->state, &conns->rules, id, &hello, &now,
					  &step);
	if (outcome != SHUNT_CONN_TAKEN) {
		conns->count.forged += outcome == SHUNT_CONN_FORGED;
		conns->count.unsound += outcome == SHUNT_CONN_UNSOUND;
		shunt_conn_free(conn);
		return;
	}
	conns->count.answered++;
	conns->half++;
	conn->half = true;
	shunt_conn_move(conn, message->peer);
	shunt_conn_follow(conn, &step);
}

static void answer_again(struct shunt_conns *conns, const struct shunt_message *message,
			 uint32_t id)
{
	const struct shunt_conn *conn = shunt_conn_of(conns, id);
	struct shunt_conn_step step;

	conns->count.repeated++;
	if (conn && shunt_conn_state_again(&conn->state, &step) == SHUNT_CONN_TAKEN)
		shunt_conn_out_send(conns, message->peer, step.send, step.send_bytes);
}

static void take_hello(struct shunt_conns *conns, const struct shunt_message *message)
{
	const char *from = shunt_peer_address(conns->transport, message->peer);
	struct shunt_conn_cookie_packet cookie;
	uint32_t id;

	if (!conns->opts.listen || !from) {
		conns->count.unexpected++;
		return;
	}
	switch (shunt_conn_gate_judge(
		&conns->gate, conns->now_ns,
		(struct shunt_noise_bytes){ (const uint8_t *)from, strlen(from) },
		(struct shunt_noise_bytes){ message->frame.data, message->frame.len },
		&cookie, &id)) {
	case SHUNT_CONN_MALFORMED:
		conns->count.unsound++;
		break;
	case SHUNT_CONN_STRANGER:
		conns->count.strangers++;
		break;
	case SHUNT_CONN_COOKIED:
		conns->count.cookies++;
		shunt_conn_out_send(conns, message->peer, &cookie, sizeof(cookie));
		break;
	case SHUNT_CONN_AGAIN:
		answer_again(conns, message, id);
		break;
	case SHUNT_CONN_ADMITTED:
		admit(conns, message);
		break;
	}
}

/* --- packets ---------------------------------------------------------------------------------- */

static void count_outcome(struct shunt_conns *conns, enum shunt_conn_outcome outcome)
{
	conns->count.unsound += outcome == SHUNT_CONN_UNSOUND;
	conns->count.forged += outcome == SHUNT_CONN_FORGED;
	conns->count.replayed += outcome == SHUNT_CONN_REPLAYED;
	conns->count.unexpected += outcome == SHUNT_CONN_UNEXPECTED;
}

/* For a connection that there is; true: the message is kept. */
static bool take_packet(struct shunt_conn *conn, const struct shunt_message *message)
{
	struct shunt_conns *conns = conn->conns;
	struct shunt_conn_now now = shunt_conns_now(conns);
	const uint32_t id = conn->state.local;
	struct shunt_conn_step step;
	enum shunt_conn_outcome outcome;

	outcome = shunt_conn_state_packet(&conn->state, &now, message->frame.data,
					  message->frame.len, &step);
	count_outcome(conns, outcome);
	if (step.moved) {
		shunt_conn_move(conn, message->peer);
	} else if (outcome == SHUNT_CONN_UNEXPECTED) {
		/* GONE is for whoever sent this, who may not be the peer */
		shunt_conn_out_send(conns, message->peer, step.send, step.send_bytes);
		step.send_bytes = 0;
	}
	shunt_conn_follow(conn, &step);
	return outcome == SHUNT_CONN_DELIVERED && shunt_conn_of(conns, id) == conn &&
	       shunt_conn_deliver(conn, message, &step);
}

static bool take_message(struct shunt_conns *conns, const struct shunt_message *message)
{
	uint8_t gone[SHUNT_CONN_CONTROL];
	struct shunt_conn_head head;
	struct shunt_conn *conn;

	if (message->channel != SHUNT_CONN_CHANNEL) {
		if (conns->opts.other)
			conns->opts.other(conns->opts.self, message, 1);
		return false;
	}
	if (message->frame.len < sizeof(head)) {
		conns->count.unsound++;
		return false;
	}
	memcpy(&head, message->frame.data, sizeof(head));
	if (head.packet == SHUNT_CONN_PACKET_HELLO) {
		take_hello(conns, message);
		return false;
	}
	conn = shunt_conn_of(conns, shunt_be32(head.to));
	if (conn)
		return take_packet(conn, message);
	conns->count.unexpected++;
	shunt_conn_out_send(conns, message->peer, gone,
			    shunt_conn_gone(message->frame.data, message->frame.len,
					    gone));
	return false;
}

/* --- a burst of work ---------------------------------------------------------------------------- */

static unsigned int receive(struct shunt_conns *conns)
{
	struct shunt_message messages[SHUNT_BURST], done[SHUNT_BURST];
	unsigned int i, n, dones = 0;

	n = shunt_recv(conns->transport, messages, SHUNT_BURST);
	for (i = 0; i < n; i++)
		if (!take_message(conns, &messages[i]))
			done[dones++] = messages[i];
	shunt_release(conns->transport, done, dones);
	return n;
}

static unsigned int tick(struct shunt_conns *conns)
{
	unsigned int n = 0;
	uint32_t place;

	while (n < SHUNT_BURST &&
	       shunt_conn_due_take(&conns->due, conns->now_ns, &place)) {
		if (conns->place[place])
			shunt_conn_tick(conns->place[place]);
		n++;
	}
	return n;
}

/* Each connection that is in the line now, once. */
static unsigned int pump(struct shunt_conns *conns)
{
	struct shunt_conn *last = TAILQ_LAST(&conns->work, shunt_conn_line), *conn;
	unsigned int n = 0;
	bool more = last != NULL;

	while (more && (conn = shunt_conn_pop_work(conns))) {
		more = conn != last;
		n++;
		if (!shunt_conn_pump(conn))
			break;
	}
	return n;
}

int shunt_conns_run(struct shunt_conns *conns, struct shunt_err *err)
{
	unsigned int n;
	int ret;

	conns->now_ns = shunt_now_ns();
	n = receive(conns);
	n += tick(conns);
	n += pump(conns);
	ret = shunt_conn_out_flush(conns);
	if (ret)
		return shunt_fail_errno(err, ret, "connections over %s",
					conns->transport->name);
	ret = shunt_transport_kick(conns->transport, err);
	return ret ?: (int)n;
}

uint64_t shunt_conns_due(struct shunt_conns *conns)
{
	uint64_t due_ns = shunt_conn_due_first(&conns->due);

	if (conns->outs || !TAILQ_EMPTY(&conns->work)) {
		const uint64_t again_ns = shunt_now_ns() + AGAIN_NS;

		due_ns = again_ns < due_ns ? again_ns : due_ns;
	}
	return due_ns;
}

static bool has_news(const struct shunt_conns *conns)
{
	return conns->settled || !TAILQ_EMPTY(&conns->news) ||
	       !TAILQ_EMPTY(&conns->waiting);
}

int shunt_conns_poll(struct shunt_conns *conns, uint64_t timeout_ns,
		     struct shunt_err *err)
{
	const uint64_t begin_ns = shunt_now_ns();

	for (;;) {
		uint64_t now_ns, due_ns, left_ns;
		int ret = shunt_conns_run(conns, err);

		if (ret < 0)
			return ret;
		if (has_news(conns))
			return 1;
		now_ns = shunt_now_ns();
		if (now_ns - begin_ns >= timeout_ns)
			return 0;
		left_ns = timeout_ns - (now_ns - begin_ns);
		due_ns = shunt_conns_due(conns);
		if (due_ns <= now_ns)
			continue;
		if (due_ns - now_ns < left_ns)
			left_ns = due_ns - now_ns;
		ret = shunt_transport_poll(conns->transport, left_ns, err);
		if (ret < 0)
			return ret;
	}
}
