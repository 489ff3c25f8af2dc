/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/witness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/forge.h"
#include "loader/policy/wish.h"

#define PARSED (-1)

struct maker {
	struct shunt_witnesses *all;
	const struct shunt_trials *trials;
	const struct shunt_roll *roll;
	size_t frames; /* at most */
	uint8_t frame[SHUNT_WITNESS_BYTES];
	int bytes; /* of the frame that is in the making */
	struct shunt_pkt pkt;
	struct shunt_subject subject;
};

/* --- one frame --------------------------------------------------------------- */

/* Makes the frame that is wished; false: there is none. */
static bool forge(struct maker *m, const struct shunt_pkt *pkt)
{
	m->bytes = shunt_forge(pkt, m->frame, sizeof(m->frame));
	if (m->bytes < 0 || shunt_unforge(m->frame, m->bytes, &m->pkt) != PARSED)
		return false;
	shunt_subject_begin(&m->subject, m->trials, m->roll, &m->pkt);
	return true;
}

static int grow(struct shunt_witnesses *all, size_t more)
{
	size_t room = all->room ? 2 * all->room : 1 << 16;
	uint8_t *bytes;

	if (all->used + more <= all->room)
		return 0;
	while (room < all->used + more)
		room *= 2;
	bytes = realloc(all->bytes, room);
	if (!bytes)
		return -ENOMEM;
	all->bytes = bytes;
	all->room = room;
	return 0;
}

/* Keeps the frame, and what becomes of it. Pointers are set when all are there. */
static int keep(struct maker *m, size_t aimed, struct shunt_decision *want)
{
	struct shunt_witnesses *all = m->all;
	int ret = shunt_decide(&m->subject, want, NULL);

	if (!ret)
		ret = grow(all, m->bytes);
	if (ret)
		return ret;
	all->at[all->n++] = (struct shunt_witness){
		.bytes = m->bytes,
		.aimed = aimed,
		.want = *want,
	};
	memcpy(all->bytes + all->used, m->frame, m->bytes);
	all->used += m->bytes;
	return 0;
}

/* --- one rule ---------------------------------------------------------------- */

static bool is_about(const struct shunt_decision *want, size_t rule)
{
	uint32_t i;

	for (i = 0; i < want->counted && i < SHUNT_TRACE_COUNTED; i++)
		if (want->counted_rule[i] == rule)
			return true;
	return want->rule == rule;
}

/* A frame that matches the rule, in this way: 1, 0 (there is none), or -errno. */
static int matching(struct maker *m, struct shunt_wish *wish, unsigned int way)
{
	struct shunt_trial trial;
	int ret;

	shunt_wish_make(wish, way);
	if (!forge(m, &wish->pkt))
		return 0;
	if (shunt_wish_stretch(wish, &m->pkt) && !forge(m, &wish->pkt))
		return 0;
	ret = shunt_try_rule(&m->subject, wish->rule, 1, &trial);
	return ret ? ret : !trial.missed;
}

/* A frame just outside one of the rule's asks, another one in each way. */
static int beside(struct maker *m, struct shunt_wish *wish, unsigned int way)
{
	const struct shunt_trials *trials = m->trials;
	const struct shunt_ask *ask = trials->ask + trials->first[wish->rule];
	uint32_t asks = trials->first[wish->rule + 1] - trials->first[wish->rule];
	struct shunt_decision want;

	if (!asks || !shunt_wish_beside(wish, &ask[way % asks]) ||
	    !forge(m, &wish->pkt))
		return 0;
	return keep(m, wish->rule, &want);
}

/* Takes back the frame that was kept last. */
static void forget(struct shunt_witnesses *all)
{
	all->used -= all->at[--all->n].bytes;
}

/*
 * Up to `quota` frames; every second one lies just outside. The only one is given up for
 * another that no earlier rule decides about.
 */
static int witness_rule(struct maker *m, size_t rule, size_t quota)
{
	size_t end = m->all->n + quota;
	bool matched = false, decided = false, poor = false;
	struct shunt_decision want;
	struct shunt_wish wish;
	unsigned int way;
	int ret = 0;

	shunt_wish_begin(&wish, m->trials, m->roll, rule);
	for (way = 0; way < SHUNT_WISH_WAYS && (poor || m->all->n < end); way++) {
		ret = matching(m, &wish, way);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		if (poor)
			forget(m->all);
		matched = true;
		ret = keep(m, rule, &want);
		if (ret)
			return ret;
		decided |= is_about(&want, rule);
		poor = quota == 1 && !decided && way < 2;
		ret = m->all->n < end ? beside(m, &wish, way) : 0;
		if (ret)
			return ret;
	}
	m->all->tried++;
	m->all->matched += matched;
	m->all->decided += decided;
	return 0;
}

/* --- all rules --------------------------------------------------------------- */

/* What no rule need name: each kind of packet, as it usually is. */
static int witness_usual(struct maker *m)
{
	static const struct {
		uint8_t l3, proto;
		uint16_t type, vlan;
	} usual[] = {
		{ SHUNT_L3_IP4, 17, 0, 0 },  { SHUNT_L3_IP4, 6, 0, 0 },
		{ SHUNT_L3_IP4, 1, 0, 0 },   { SHUNT_L3_IP6, 17, 0, 0 },
		{ SHUNT_L3_IP6, 6, 0, 0 },   { SHUNT_L3_IP6, 58, 0, 0 },
		{ SHUNT_L3_IP4, 253, 0, 7 }, { SHUNT_L3_NONE, 0, 0x0806, 0 },
		{ SHUNT_L3_NONE, 0, 0, 0 },
	};
	struct shunt_decision want;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < sizeof(usual) / sizeof(*usual); i++) {
		struct shunt_pkt pkt = { .len = 0 };
		struct shunt_layer *l = &pkt.layer[SHUNT_OUTER];

		if (m->all->n == m->frames)
			break;
		l->l3 = usual[i].l3;
		l->field[SHUNT_FIELD_PROTO] = usual[i].proto + !!usual[i].l3;
		l->field[SHUNT_FIELD_ETH_TYPE] = usual[i].type + !!usual[i].type;
		l->field[SHUNT_FIELD_VLAN] = usual[i].vlan;
		memset(l->addr[SHUNT_SIDE_SRC], 100, l->l3 == SHUNT_L3_IP4 ? 4 : 16);
		memset(l->addr[SHUNT_SIDE_DST], 101, l->l3 == SHUNT_L3_IP4 ? 4 : 16);
		if (forge(m, &pkt))
			ret = keep(m, m->trials->policy->rules, &want);
	}
	return ret;
}

static int witness_all(struct maker *m)
{
	size_t rules = m->trials->policy->rules, left, quota, r;
	int ret = witness_usual(m);

	left = m->frames - m->all->n;
	quota = rules ? left / rules : 0;
	if (quota > SHUNT_WITNESS_RULE)
		quota = SHUNT_WITNESS_RULE;
	for (r = 0; !ret && r < rules; r++) {
		/* where they are too many, so many of them, evenly */
		if (!quota && r * left / rules == (r + 1) * left / rules)
			continue;
		ret = witness_rule(m, r, quota ? quota : 1);
	}
	return ret;
}

static void settle(struct shunt_witnesses *all)
{
	const uint8_t *at = all->bytes;
	size_t i;

	for (i = 0; i < all->n; i++) {
		all->at[i].frame = at;
		at += all->at[i].bytes;
	}
}

int shunt_witness_make(struct shunt_witnesses *all, const struct shunt_trials *trials,
		       const struct shunt_roll *roll, size_t frames,
		       struct shunt_err *err)
{
	struct maker *m = calloc(1, sizeof(*m));
	int ret = -ENOMEM;

	memset(all, 0, sizeof(*all));
	all->at = calloc(frames + 1, sizeof(*all->at));
	if (m && all->at) {
		m->all = all;
		m->trials = trials;
		m->roll = roll;
		m->frames = frames;
		ret = witness_all(m);
		settle(all);
	}
	free(m);
	if (ret)
		return shunt_fail_errno(err, ret, "make probe packets for the policy");
	return 0;
}

void shunt_witness_free(struct shunt_witnesses *all)
{
	free(all->at);
	free(all->bytes);
	memset(all, 0, sizeof(*all));
}
