/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender's connection: how it comes about, what is done on it, and how it ends. */
#include <errno.h>
#include <stddef.h>

#include "user/base/clock.h"
#include "user/io/ship_send_impl.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define POLLED 32u
#define AGAIN_NS (200 * NS_PER_MS) /* between two tries to find the receiver again */
#define CALL_NS (5 * NS_PER_S)	   /* one try; librdmacm has shorter ones within */
#define PROBE_NS NS_PER_S	   /* a READ at least so often: is it still there? */

/* --- a connection's end --------------------------------------------------------------- */

static void retire(struct shunt_ship_sender *s, bool arrived)
{
	struct shunt_ship_batch *batch =
		&s->batch[s->batches_done++ % SHUNT_SHIP_BATCHES];
	uint32_t left = batch->frames;

	while (left) {
		uint32_t at = s->frames_done % SHUNT_SHIP_FLIGHT,
			 run = SHUNT_SHIP_FLIGHT - at;

		if (run > left)
			run = left;
		shunt_frames_put(&s->frame[at], run);
		s->frames_done += run;
		left -= run;
	}
	if (arrived)
		s->arrived += batch->packets;
	else
		s->port.count.tx_failed += batch->packets;
}

/* What was under way may have arrived or not; its frames come back either way. */
void shunt_ship_end(struct shunt_ship_sender *s)
{
	s->ops->hang_up(s->wire);
	while (s->batches_done != s->batches_posted)
		retire(s, false);
	s->reading = false;
	s->state = SHUNT_SHIP_STATE_DOWN;
	s->due_ns = shunt_now_ns() + AGAIN_NS;
}

static void lose(struct shunt_ship_sender *s)
{
	if (s->state == SHUNT_SHIP_STATE_DOWN)
		return;
	s->port.count.cuts += s->state == SHUNT_SHIP_STATE_UP;
	shunt_ship_end(s);
	if (s->options.lost == SHUNT_SHIP_END)
		s->failed = shunt_fail(&s->why, -ECONNRESET,
				       "port %s: the receiver is gone; lost=again "
				       "waits until it is back",
				       s->port.name);
}

/* --- what is done ----------------------------------------------------------------------- */

void shunt_ship_hand(struct shunt_ship_sender *s, const struct shunt_ship_post *posts,
		     unsigned int n)
{
	if (s->ops->post(s->wire, posts, n))
		lose(s);
}

void shunt_ship_ask_facts(struct shunt_ship_sender *s)
{
	const struct shunt_ship_piece piece = {
		.at = (uint8_t *)s->scratch->facts,
		.bytes = sizeof(s->scratch->facts),
		.area = SHUNT_SHIP_AREA_SCRATCH,
	};
	const struct shunt_ship_post one = {
		.request = SHUNT_SHIP_READ,
		.piece = &piece,
		.pieces = 1,
		.remote = s->offer.base + offsetof(struct shunt_ship_page, facts),
		.id = SHUNT_SHIP_ID(SHUNT_SHIP_FOR_FACTS, 0),
	};

	if (s->reading || s->state != SHUNT_SHIP_STATE_UP)
		return;
	s->reading = true;
	s->certain = false;
	s->asked_at = s->produced;
	s->probe_ns = shunt_tick_ns() + PROBE_NS;
	s->reads++;
	shunt_ship_hand(s, &one, 1);
}

bool shunt_ship_wants_facts(const struct shunt_ship_sender *s)
{
	if (s->offer.flags & SHUNT_SHIP_SLEEPS)
		return s->known_at != s->produced;
	return s->produced - s->consumed > s->offer.bytes / 2 &&
	       s->known_at != s->produced;
}

static void ring_bell(struct shunt_ship_sender *s, uint64_t nap)
{
	const struct shunt_ship_post one = {
		.request = SHUNT_SHIP_BELL, .id = SHUNT_SHIP_ID(SHUNT_SHIP_FOR_BELL, 0)
	};

	s->rung = nap;
	s->bells++;
	shunt_ship_hand(s, &one, 1);
}

static void take_facts(struct shunt_ship_sender *s)
{
	uint64_t consumed = s->scratch->facts[SHUNT_SHIP_FACT_CONSUMED];
	uint64_t nap = s->scratch->facts[SHUNT_SHIP_FACT_NAP];

	s->reading = false;
	s->known_at = s->asked_at;
	if (s->scratch->facts[SHUNT_SHIP_FACT_SESSION] != s->offer.session ||
	    consumed < s->consumed || consumed > s->produced) {
		lose(s); /* that is not our ring any more */
		return;
	}
	s->consumed = consumed;
	s->certain = s->asked_at == s->produced;
	if ((nap & 1) && nap != s->rung && consumed != s->asked_at)
		ring_bell(s, nap);
	if (s->state == SHUNT_SHIP_STATE_UP && shunt_ship_wants_facts(s))
		shunt_ship_ask_facts(s);
}

static void take_id(struct shunt_ship_sender *s, uint64_t id)
{
	uint32_t number = (uint32_t)id;

	switch (id >> 32) {
	case SHUNT_SHIP_FOR_BATCH:
		while ((int32_t)(number - s->batches_done) >= 0 &&
		       s->batches_done != s->batches_posted)
			retire(s, true);
		break;
	case SHUNT_SHIP_FOR_FACTS:
		take_facts(s);
		break;
	default:
		break;
	}
}

/* How many requests were done. */
unsigned int shunt_ship_settle(struct shunt_ship_sender *s)
{
	unsigned int done = 0;
	uint64_t ids[POLLED];
	int i, n;

	while (s->state == SHUNT_SHIP_STATE_UP) {
		n = s->ops->poll(s->wire, ids, POLLED);
		if (n < 0)
			lose(s);
		if (n <= 0)
			break;
		for (i = 0; i < n && s->state == SHUNT_SHIP_STATE_UP; i++)
			take_id(s, ids[i]);
		done += (unsigned int)n;
	}
	return done;
}

/* --- the connection --------------------------------------------------------------------- */

int shunt_ship_begin_call(struct shunt_ship_sender *s, struct shunt_err *err)
{
	uint8_t ask[SHUNT_SHIP_HELLO_MAX];
	size_t len = shunt_ship_put_ask(ask);
	int ret = s->ops->call(s->wire, ask, len, err);

	if (ret)
		return ret;
	s->state = SHUNT_SHIP_STATE_CALLING;
	s->due_ns = shunt_now_ns() + CALL_NS;
	return 0;
}

static int begin(struct shunt_ship_sender *s, const struct shunt_ship_words *words,
		 struct shunt_err *err)
{
	int ret = shunt_ship_read_offer(&s->offer, words->bytes, words->len, err);

	if (ret)
		return ret;
	s->ops->aim(s->wire, s->offer.key);
	s->pieces = s->ops->pieces(s->wire);
	if (s->pieces > SHUNT_SHIP_PIECES)
		s->pieces = SHUNT_SHIP_PIECES;
	s->produced = s->consumed = s->asked_at = s->known_at = s->rung = 0;
	s->certain = false;
	s->state = SHUNT_SHIP_STATE_UP;
	s->probe_ns = shunt_tick_ns() + PROBE_NS;
	s->port.count.connects++;
	s->port.frame_max = s->offer.frame_max;
	return 0;
}

/* 0, or -errno: why it did not come about, or that the device is gone (-ENODEV). */
int shunt_ship_hear(struct shunt_ship_sender *s, struct shunt_err *err)
{
	struct shunt_ship_words words = { 0 };
	int news = s->ops->look(s->wire, &words, err), ret = 0;

	switch (news) {
	case SHUNT_SHIP_UP:
		if (s->state == SHUNT_SHIP_STATE_CALLING)
			ret = begin(s, &words, err);
		break;
	case SHUNT_SHIP_REFUSED:
		ret = shunt_ship_read_refusal(words.bytes, words.len, err);
		break;
	case SHUNT_SHIP_GONE:
		ret = s->state == SHUNT_SHIP_STATE_CALLING
			      ? shunt_fail(err, -EHOSTUNREACH,
					   "nobody has answered: is the receiver "
					   "running, and is there a way to it?")
			      : 0;
		lose(s);
		break;
	default:
		if (news < 0)
			return news;
	}
	if (ret && s->state != SHUNT_SHIP_STATE_DOWN)
		shunt_ship_end(s);
	return ret;
}

/* Finds the receiver again, or a call that leads nowhere. */
int shunt_ship_tend(struct shunt_ship_sender *s, struct shunt_err *err)
{
	uint64_t now = shunt_now_ns();
	int ret = shunt_ship_hear(s, err);

	if (ret == -ENODEV)
		return ret;
	if (s->state == SHUNT_SHIP_STATE_DOWN && now >= s->due_ns &&
	    shunt_ship_begin_call(s, NULL))
		s->due_ns = now + AGAIN_NS;
	if (s->state == SHUNT_SHIP_STATE_CALLING && now >= s->due_ns)
		shunt_ship_end(s);
	return 0;
}
