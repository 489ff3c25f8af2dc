/* SPDX-License-Identifier: BSD-2-Clause */
/* Every phase of a connection and every packet: each pair has a stated outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/conn_world.h"

/* --- an end in each phase ------------------------------------------------------------------ */

#define PLACES(X)                                                                      \
	X(IDLE) X(CALLING) X(HALF) X(CALLER) X(ANSWERER) X(CLOSING) X(DOWN) X(ENDED)
#define PLACE(name) AT_##name,
enum place { PLACES(PLACE) COUNT };
#define PLACE_TEXT(name) #name,
static const char *const place_texts[] = { PLACES(PLACE_TEXT) };

struct stage {
	struct conn_world world;
	struct shunt_conn_state *at;   /* the end that is looked at */
	struct shunt_conn_state other; /* a copy, with the keys that it had */
	struct conn_world_packet hello, welcome;
};

static void next(struct stage *s)
{
	assert_int_equal(s->world.packets, 1);
	conn_world_deliver(&s->world, 0, false);
}

static void stage_open(struct stage *s, enum place place)
{
	struct conn_world *world = &s->world;
	struct shunt_conn_state *answerer = &world->place[0];

	conn_world_open(world, 1);
	s->at = place == AT_HALF || place == AT_ANSWERER ? answerer : &world->caller;
	conn_world_call(world);
	next(s); /* HELLO */
	next(s); /* COOKIE */
	s->hello = world->packet[0];
	next(s); /* HELLO */
	s->welcome = world->packet[0];
	s->other = *answerer;
	if (place == AT_IDLE)
		memset(s->at, 0, sizeof(*s->at));
	if (place == AT_IDLE || place == AT_CALLING)
		return;
	next(s); /* WELCOME */
	s->other = world->caller;
	if (place == AT_HALF)
		return;
	next(s); /* PING */
	next(s); /* PONG */
	s->other = place == AT_ANSWERER ? world->caller : *answerer;
	if (place == AT_CLOSING || place == AT_ENDED)
		conn_world_close_end(world, true);
	if (place == AT_ENDED)
		conn_world_calm(world, 1);
	if (place == AT_DOWN) {
		memset(answerer, 0, sizeof(*answerer));
		while (world->caller.phase == SHUNT_CONN_PHASE_UP) {
			world->packets = 0;
			conn_world_tick(world, conn_world_due(world));
		}
	}
	world->packets = 0;
}

static void stage_close(struct stage *s)
{
	assert_null(conn_world_fault(&s->world));
	conn_world_close(&s->world);
}

/* --- packets for it -------------------------------------------------------------------------- */

static struct conn_world_packet sealed(struct stage *s, enum shunt_conn_kind kind)
{
	struct conn_world_packet packet = { .bytes = 0 };

	packet.bytes = shunt_seal(&s->other.out, s->world.now_ns, s->at->local,
				  s->other.local, kind, packet.data, 4);
	return packet;
}

/* An answer to the HELLO that is out, for a caller who is elsewhere. */
static struct conn_world_packet cookie_for(struct stage *s)
{
	struct conn_world_packet packet = { .bytes = sizeof(
						    struct shunt_conn_cookie_packet) };
	struct shunt_conn_cookie_packet cookie;
	uint32_t id;

	assert_int_equal(
		shunt_conn_gate_judge(
			&s->world.gate, s->world.now_ns,
			(struct shunt_noise_bytes){ (const uint8_t *)"elsewhere", 9 },
			(struct shunt_noise_bytes){ s->hello.data, s->hello.bytes },
			&cookie, &id),
		SHUNT_CONN_COOKIED);
	memcpy(packet.data, &cookie, sizeof(cookie));
	return packet;
}

static struct conn_world_packet gone_for(const struct stage *s, uint32_t from)
{
	struct conn_world_packet packet = { .bytes = 12 };
	const struct shunt_conn_gone_packet gone = {
		.head = { .packet = SHUNT_CONN_PACKET_GONE,
			  .version = SHUNT_CONN_VERSION,
			  .to = shunt_be32(s->at->local) },
		.from = shunt_be32(from),
	};

	memcpy(packet.data, &gone, sizeof(gone));
	return packet;
}

/* clang-format off */
#define PACKETS(X) \
	X(HELLO) X(COOKIE) X(COOKIE_FORGED) X(WELCOME) X(WELCOME_FORGED) X(DATAGRAM) \
	X(RELIABLE) X(PING) X(PONG) X(CLOSE) X(CLOSED) X(NO_KIND) \
	X(DATA_FORGED) X(DATA_AGAIN) X(DATA_OF_ANOTHER) X(DATA_SHORT) X(GONE) X(GONE_OF_ANOTHER) \
	X(GONE_LONG) X(NO_PACKET) X(NO_HEAD) X(OTHER_VERSION) X(TO_ANOTHER)
/* clang-format on */
#define PACKET(name) GET_##name,
enum packet { PACKETS(PACKET) };
#define PACKET_TEXT(name) #name,
static const char *const packet_texts[] = { PACKETS(PACKET_TEXT) };

static struct conn_world_packet make_packet(struct stage *s, enum packet what)
{
	struct shunt_conn_now now = conn_world_now(&s->world);
	struct shunt_conn_step step;
	struct conn_world_packet packet, again;

	switch (what) {
	case GET_HELLO:
		return s->hello;
	case GET_COOKIE:
		return cookie_for(s);
	case GET_COOKIE_FORGED:
		packet = cookie_for(s);
		packet.data[8] ^= 1;
		return packet;
	case GET_WELCOME:
		return s->welcome;
	case GET_WELCOME_FORGED:
		packet = s->welcome;
		packet.data[packet.bytes - 1] ^= 1;
		return packet;
	case GET_DATAGRAM:
		return sealed(s, SHUNT_CONN_KIND_DATAGRAM);
	case GET_RELIABLE:
		return sealed(s, SHUNT_CONN_KIND_RELIABLE);
	case GET_PING:
		return sealed(s, SHUNT_CONN_KIND_PING);
	case GET_PONG:
		return sealed(s, SHUNT_CONN_KIND_PONG);
	case GET_CLOSE:
		return sealed(s, SHUNT_CONN_KIND_CLOSE);
	case GET_CLOSED:
		return sealed(s, SHUNT_CONN_KIND_CLOSED);
	case GET_NO_KIND:
		return sealed(s, 99);
	case GET_DATA_FORGED:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.data[packet.bytes - 1] ^= 1;
		return packet;
	case GET_DATA_AGAIN:
		packet = again = sealed(s, SHUNT_CONN_KIND_PING);
		(void)shunt_conn_state_packet(s->at, &now, packet.data, packet.bytes,
					      &step);
		return again;
	case GET_DATA_OF_ANOTHER:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.data[11] ^= 1;
		return packet;
	case GET_DATA_SHORT:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.bytes = SHUNT_CONN_OVERHEAD - 1;
		return packet;
	case GET_GONE:
		return gone_for(s, s->other.local);
	case GET_GONE_OF_ANOTHER:
		return gone_for(s, s->other.local + 1);
	case GET_GONE_LONG:
		packet = gone_for(s, s->other.local);
		packet.bytes++;
		return packet;
	case GET_NO_PACKET:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.data[0] = 77;
		return packet;
	case GET_NO_HEAD:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.bytes = sizeof(struct shunt_conn_head) - 1;
		return packet;
	case GET_OTHER_VERSION:
		packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
		packet.data[1]++;
		return packet;
	case GET_TO_ANOTHER:
		break;
	}
	packet = sealed(s, SHUNT_CONN_KIND_CLOSE);
	packet.data[7] ^= 1;
	return packet;
}

/* --- the table ---------------------------------------------------------------------------------- */

/*
 * "outcome phase answer turn": what becomes of the packet, in what phase the end is then,
 * what it sends back, and what its owner is told. A dash: nothing. SAME: all that is
 * below stays as it was, and nothing is said.
 */
#define UNSOUND "unsound - - -"
#define UNEXPECTED "unexpected - - -"
#define SAME8(text)                                                                    \
	{                                                                              \
		text, text, text, text, text, text, text, text                         \
	}
/* Data for an end without keys is answered by GONE; the other five cells are told. */
#define KEYED(half, caller, answerer, closing)                                         \
	{                                                                              \
		"unexpected - gone -", "unexpected - gone -", half, caller, answerer,  \
			closing, "unexpected - gone -", "unexpected - gone -"          \
	}
/* Only who calls wants it. */
#define CALLED(calling)                                                                \
	{                                                                              \
		UNEXPECTED, calling, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED,   \
			UNEXPECTED, UNEXPECTED                                         \
	}

static const char *const table[][COUNT] = {
	/* clang-format off */
	[GET_HELLO] = { UNEXPECTED, UNSOUND, UNEXPECTED, UNSOUND,
			UNEXPECTED, UNSOUND, UNSOUND, UNSOUND },
	[GET_COOKIE] = CALLED("taken calling hello -"),
	[GET_COOKIE_FORGED] = CALLED("forged - - -"),
	[GET_WELCOME] = CALLED("taken up data up"),
	[GET_WELCOME_FORGED] = CALLED("forged - - -"),
	[GET_DATAGRAM] = KEYED("delivered up - up", "delivered up - -",
			       "delivered up - -", UNEXPECTED),
	[GET_RELIABLE] = KEYED("delivered up - up", "delivered up - -",
			       "delivered up - -", UNEXPECTED),
	[GET_PING] = KEYED("taken up data up", "taken up data -",
			   "taken up data -", UNEXPECTED),
	[GET_PONG] = KEYED("taken up - up", "taken up - -",
			   "taken up - -", UNEXPECTED),
	[GET_CLOSE] = KEYED("taken ended data ended", "taken ended data ended",
			    "taken ended data ended", "taken ended data ended"),
	[GET_CLOSED] = KEYED("unexpected up - up", UNEXPECTED,
			     UNEXPECTED, "taken ended - ended"),
	[GET_NO_KIND] = KEYED("unsound up - up", UNSOUND, UNSOUND, UNSOUND),
	[GET_DATA_FORGED] = KEYED("forged - - -", "forged - - -",
				  "forged - - -", "forged - - -"),
	[GET_DATA_AGAIN] = KEYED("replayed - - -", "replayed - - -",
				 "replayed - - -", "replayed - - -"),
	[GET_DATA_OF_ANOTHER] = KEYED(UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
	[GET_DATA_SHORT] = SAME8(UNSOUND),
	[GET_GONE] = { UNEXPECTED, UNEXPECTED, UNEXPECTED, "taken up data -",
		       "taken up data -", "taken ended - ended", UNEXPECTED, UNEXPECTED },
	[GET_GONE_OF_ANOTHER] = SAME8(UNEXPECTED),
	[GET_GONE_LONG] = SAME8(UNSOUND),
	[GET_NO_PACKET] = SAME8(UNSOUND),
	[GET_NO_HEAD] = SAME8(UNSOUND),
	[GET_OTHER_VERSION] = SAME8(UNSOUND),
	[GET_TO_ANOTHER] = SAME8(UNEXPECTED),
	/* clang-format on */
};

static const char *packet_name(const struct shunt_conn_step *step)
{
#define NAME(name, number, text) [number] = text,
	static const char *const names[] = { SHUNT_CONN_PACKETS(NAME) };
#undef NAME

	return step->send_bytes ? names[step->send[0]] : "-";
}

static const char *turn_name(enum shunt_conn_turn turn)
{
	static const char *const names[] = { "-", "up", "down", "ended" };

	return names[turn];
}

#define NAME(name, text, help) text,
static const char *const phases[] = { SHUNT_CONN_PHASES(NAME) };
static const char *const outcomes[] = { SHUNT_CONN_OUTCOMES(NAME) };
#undef NAME

/* A phase that is told by a dash is the one that it was. */
static void describe(char *text, size_t room, const char *outcome, const char *want,
		     const struct stage *s, enum shunt_conn_phase before,
		     const struct shunt_conn_step *step)
{
	const char *space = strchr(want, ' ');
	bool dash = s->at->phase == before && space && space[1] == '-';

	snprintf(text, room, "%s %s %s %s", outcome, dash ? "-" : phases[s->at->phase],
		 packet_name(step), turn_name(step->turn));
}

static void test_every_phase_and_every_packet(void **state)
{
	unsigned int place, what, bad = 0;

	(void)state;
	for (what = 0; what < sizeof(table) / sizeof(*table); what++) {
		for (place = 0; place < COUNT; place++) {
			struct stage s;
			struct shunt_conn_step step;
			struct shunt_conn_now now;
			struct conn_world_packet packet;
			enum shunt_conn_phase before;
			enum shunt_conn_outcome outcome;
			char got[64];

			stage_open(&s, place);
			packet = make_packet(&s, what);
			before = s.at->phase;
			now = conn_world_now(&s.world);
			outcome = shunt_conn_state_packet(s.at, &now, packet.data,
							  packet.bytes, &step);
			describe(got, sizeof(got), outcomes[outcome],
				 table[what][place], &s, before, &step);
			if (strcmp(got, table[what][place])) {
				bad++;
				print_error("%s at %s: \"%s\", not \"%s\"\n",
					    packet_texts[what], place_texts[place], got,
					    table[what][place]);
			}
			/* whatever came: time goes on, and nothing asks for the past */
			conn_world_calm(&s.world, 60000000000);
			stage_close(&s);
		}
	}
	assert_int_equal(bad, 0);
}

/* --- time ----------------------------------------------------------------------------------------- */

static const struct {
	const char *what;
	enum place place;
	unsigned int ticks; /* each when it is due, and nothing comes in between; 0: as
			       many as it takes to another phase */
	const char *want;   /* "phase answer turn" of the last one */
	enum shunt_conn_reason reason;
} times[] = {
	{ "a HELLO is said again", AT_CALLING, 1, "calling hello -",
	  SHUNT_CONN_REASON_NONE },
	{ "a call that nobody answers ends", AT_CALLING, 0, "ended - ended",
	  SHUNT_CONN_REASON_NO_ANSWER },
	{ "a caller that isn't proven in time is forgotten", AT_HALF, 1,
	  "ended - ended", SHUNT_CONN_REASON_UNPROVEN },
	{ "who hears nothing pings", AT_CALLER, 1, "up data -",
	  SHUNT_CONN_REASON_NONE },
	{ "and so does an answerer", AT_ANSWERER, 1, "up data -",
	  SHUNT_CONN_REASON_NONE },
	{ "three times", AT_CALLER, 3, "up data -", SHUNT_CONN_REASON_NONE },
	{ "then a caller is down", AT_CALLER, 4, "down - down",
	  SHUNT_CONN_REASON_SILENCE },
	{ "and an answerer at its end", AT_ANSWERER, 4, "ended - ended",
	  SHUNT_CONN_REASON_SILENCE },
	{ "who is down calls anew", AT_DOWN, 1, "calling hello -",
	  SHUNT_CONN_REASON_SILENCE },
	{ "CLOSE is said again", AT_CLOSING, 3, "closing data -",
	  SHUNT_CONN_REASON_NONE },
	{ "but not for ever", AT_CLOSING, 4, "ended - ended", SHUNT_CONN_REASON_OURS },
};

static void test_time(void **state)
{
	size_t row;

	(void)state;
	for (row = 0; row < sizeof(times) / sizeof(*times); row++) {
		struct shunt_conn_step step = { 0 };
		struct shunt_conn_now now;
		enum shunt_conn_phase before;
		unsigned int i;
		struct stage s;
		char got[64];

		stage_open(&s, times[row].place);
		before = s.at->phase;
		for (i = 0;
		     times[row].ticks ? i < times[row].ticks : s.at->phase == before;
		     i++) {
			const uint64_t due = shunt_conn_state_due(s.at);

			assert_true(due != UINT64_MAX && due > s.world.now_ns);
			s.world.now_ns = due - 1;
			now = conn_world_now(&s.world);
			shunt_conn_state_tick(s.at, &now, &step);
			assert_int_equal(step.send_bytes + step.turn, 0);
			s.world.now_ns = due;
			now = conn_world_now(&s.world);
			shunt_conn_state_tick(s.at, &now, &step);
		}
		snprintf(got, sizeof(got), "%s %s %s", phases[s.at->phase],
			 packet_name(&step), turn_name(step.turn));
		if (strcmp(got, times[row].want) || s.at->reason != times[row].reason)
			fail_msg("%s: \"%s\" (%s)", times[row].what, got,
				 shunt_conn_reason_text(s.at->reason));
		stage_close(&s);
	}
}

static void test_idle_and_ended_wait_for_nothing(void **state)
{
	static const enum place still[] = { AT_IDLE, AT_ENDED };
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct stage s;

		stage_open(&s, still[i]);
		assert_true(shunt_conn_state_due(s.at) == UINT64_MAX);
		stage_close(&s);
	}
}

static void test_only_one_that_is_up_seals(void **state)
{
	unsigned int place;

	(void)state;
	for (place = 0; place < COUNT; place++) {
		uint8_t packet[SHUNT_CONN_OVERHEAD];
		struct stage s;

		stage_open(&s, place);
		assert_int_equal(shunt_conn_state_seal(s.at, s.world.now_ns,
						       SHUNT_CONN_KIND_DATAGRAM, packet,
						       0) != 0,
				 s.at->phase == SHUNT_CONN_PHASE_UP);
		stage_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_phase_and_every_packet),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_idle_and_ended_wait_for_nothing),
		cmocka_unit_test(test_only_one_that_is_up_seals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
