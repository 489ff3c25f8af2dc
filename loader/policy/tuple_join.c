/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries to tuples. Each combination of depths could be a tuple of its own; but a probe
 * costs more than comparing a few entries, so that a small tuple is joined with one that
 * is nowhere deeper, while the entries under one hash stay few.
 */
#include <errno.h>
#include <stdlib.h>

#include "loader/policy/tuples.h"
#include "user/base/cleanup.h"

/* How many entries stand under a hash: open addressing, a zeroed slot is empty. */
struct tally {
	struct tally_slot {
		uint64_t key;
		uint32_t n;
	} * slot;
	size_t used, room;
};

static struct tally_slot *tally_at(const struct tally *t, uint64_t key)
{
	size_t at = (key ^ key >> 32) & (t->room - 1);

	while (t->slot[at].n && t->slot[at].key != key)
		at = (at + 1) & (t->room - 1);
	return &t->slot[at];
}

static int tally_grow(struct tally *t, size_t more)
{
	struct tally next = { .used = t->used, .room = t->room ? t->room : 16 };
	size_t i;

	if (2 * (t->used + more) <= t->room)
		return 0;
	while (2 * (t->used + more) > next.room)
		next.room *= 2;
	next.slot = calloc(next.room, sizeof(*next.slot));
	if (!next.slot)
		return -ENOMEM;
	for (i = 0; i < t->room; i++)
		if (t->slot[i].n)
			*tally_at(&next, t->slot[i].key) = t->slot[i];
	free(t->slot);
	*t = next;
	return 0;
}

/* --- the work ---------------------------------------------------------------- */

struct join {
	struct shunt_tuple_set *set;
	struct tally *tally; /* one a tuple */
	const struct shunt_tuple_entry *entry;
	const struct shunt_nest *nest;
	unsigned int comps;
};

uint64_t shunt_tuple_key(const struct shunt_tuple *tuple,
			 const struct shunt_tuple_entry *entry,
			 const struct shunt_nest *nest, unsigned int comps)
{
	uint64_t key = 0;
	unsigned int c;

	for (c = 0; c < comps; c++)
		key ^= nest[c].node[shunt_nest_up(&nest[c], entry->node[c],
						  tuple->depth[c])]
			       .hash;
	return key;
}

static int add_entry(struct join *j, size_t tuple, uint32_t entry)
{
	struct shunt_tuple *t = &j->set->at[tuple];
	struct tally_slot *slot;
	uint64_t key;

	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 4;
		uint32_t *list = realloc(t->entry, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		t->entry = list;
		t->room = room;
	}
	if (tally_grow(&j->tally[tuple], 1))
		return -ENOMEM;
	t->entry[t->n++] = entry;
	key = shunt_tuple_key(t, &j->entry[entry], j->nest, j->comps);
	slot = tally_at(&j->tally[tuple], key);
	slot->key = key;
	j->tally[tuple].used += !slot->n;
	if (++slot->n > t->leaf)
		t->leaf = slot->n;
	return 0;
}

static int same_depths(const struct shunt_tuple *t, const uint8_t *depth)
{
	return !memcmp(t->depth, depth, sizeof(t->depth));
}

static int new_tuple(struct join *j, const uint8_t *depth)
{
	struct shunt_tuple_set *set = j->set;

	if (set->n == set->room) {
		size_t room = set->room ? 2 * set->room : 64;
		struct shunt_tuple *at = realloc(set->at, room * sizeof(*at));
		struct tally *tally;

		if (!at)
			return -ENOMEM;
		set->at = at;
		tally = realloc(j->tally, room * sizeof(*tally));
		if (!tally)
			return -ENOMEM;
		j->tally = tally;
		set->room = room;
	}
	set->at[set->n] = (struct shunt_tuple){ .entry = NULL };
	j->tally[set->n] = (struct tally){ .slot = NULL };
	memcpy(set->at[set->n].depth, depth, SHUNT_COMP_MAX);
	set->n++;
	return 0;
}

/* Every entry into the tuple of its own depths. */
static int group(struct join *j, size_t entries)
{
	size_t i, t, last = 0;
	unsigned int c;

	for (i = 0; i < entries; i++) {
		uint8_t depth[SHUNT_COMP_MAX] = { 0 };

		for (c = 0; c < j->comps; c++)
			depth[c] = j->nest[c].node[j->entry[i].node[c]].depth;
		t = last;
		if (t >= j->set->n || !same_depths(&j->set->at[t], depth))
			for (t = 0; t < j->set->n; t++)
				if (same_depths(&j->set->at[t], depth))
					break;
		if (t == j->set->n && new_tuple(j, depth))
			return -ENOMEM;
		if (add_entry(j, t, i))
			return -ENOMEM;
		last = t;
	}
	return 0;
}

static bool is_above(const struct shunt_tuple *general, const struct shunt_tuple *t)
{
	unsigned int c;

	for (c = 0; c < SHUNT_COMP_MAX; c++)
		if (general->depth[c] > t->depth[c])
			return false;
	return true;
}

/* The most entries under one hash of `into`, were t's entries there, too; -ENOMEM. */
static int would_be(struct join *j, size_t into, const struct shunt_tuple *t,
		    uint32_t most)
{
	struct shunt_tuple *u = &j->set->at[into];
	struct tally *tally = &j->tally[into];
	uint32_t worst = u->leaf;
	size_t i, done;

	if (tally_grow(tally, t->n))
		return -ENOMEM;
	for (i = 0; i < t->n && worst <= most; i++) {
		uint64_t key =
			shunt_tuple_key(u, &j->entry[t->entry[i]], j->nest, j->comps);
		struct tally_slot *slot = tally_at(tally, key);

		slot->key = key;
		if (++slot->n > worst)
			worst = slot->n;
	}
	/* taken back in reverse, so that a slot that was empty ends a chain again */
	for (done = i; done--;)
		tally_at(tally, shunt_tuple_key(u, &j->entry[t->entry[done]], j->nest,
						j->comps))
			->n--;
	return worst;
}

/* Joins tuple t with the best other one; returns whether it did, or -ENOMEM. */
static int join_one(struct join *j, size_t t, uint32_t most)
{
	struct shunt_tuple_set *set = j->set;
	uint32_t best_leaf = most;
	size_t u, i, best = set->n;

	for (u = 0; u < set->n; u++) {
		int leaf;

		if (u == t || set->at[u].leaf > best_leaf ||
		    !is_above(&set->at[u], &set->at[t]))
			continue;
		leaf = would_be(j, u, &set->at[t], best_leaf);
		if (leaf < 0)
			return leaf;
		if ((uint32_t)leaf < best_leaf ||
		    ((uint32_t)leaf == best_leaf && best == set->n)) {
			best_leaf = leaf;
			best = u;
		}
	}
	if (best == set->n)
		return 0;
	for (i = 0; i < set->at[t].n; i++)
		if (add_entry(j, best, set->at[t].entry[i]))
			return -ENOMEM;
	free(set->at[t].entry);
	free(j->tally[t].slot);
	set->n--;
	set->at[t] = set->at[set->n];
	j->tally[t] = j->tally[set->n];
	return 1;
}

static size_t smallest_above(const struct shunt_tuple_set *set, size_t n)
{
	size_t best = set->n, t;

	for (t = 0; t < set->n; t++)
		if (set->at[t].n > n &&
		    (best == set->n || set->at[t].n < set->at[best].n))
			best = t;
	return best;
}

/* Small tuples first; a tuple that fits nowhere stays. */
static int join_all(struct join *j, uint32_t most)
{
	size_t size = 0;

	for (;;) {
		size_t t, next = smallest_above(j->set, size);
		bool joined = false;

		if (next == j->set->n)
			return 0;
		size = j->set->at[next].n;
		for (t = 0; t < j->set->n; t++) {
			int ret;

			if (j->set->at[t].n != size)
				continue;
			ret = join_one(j, t, most);
			if (ret < 0)
				return ret;
			joined |= ret;
			t -= ret; /* another one stands there now */
		}
		if (joined)
			size--; /* what was joined may have this size now */
	}
}

static int by_first(const void *a, const void *b)
{
	const struct shunt_tuple *x = a, *y = b;

	return (x->place > y->place) - (x->place < y->place);
}

static void sort(struct shunt_tuple_set *set, const struct shunt_tuple_entry *entry)
{
	size_t t, i;

	for (t = 0; t < set->n; t++) {
		set->at[t].place = UINT32_MAX;
		for (i = 0; i < set->at[t].n; i++)
			if (entry[set->at[t].entry[i]].place < set->at[t].place)
				set->at[t].place = entry[set->at[t].entry[i]].place;
	}
	qsort(set->at, set->n, sizeof(*set->at), by_first);
}

int shunt_tuples_make(struct shunt_tuple_set *set,
		      const struct shunt_tuple_entry *entry, size_t entries,
		      const struct shunt_nest *nest, unsigned int comps)
{
	/* Leaves may grow as far as the first row whose number of tuples is met. */
	static const struct {
		uint32_t leaf;
		size_t tuples;
	} steps[] = { { 2, 16 }, { 4, 48 }, { 8, 128 }, { 16, 192 }, { 48, 256 } };
	struct join j = { set, NULL, entry, nest, comps };
	size_t i;
	int ret;

	memset(set, 0, sizeof(*set));
	ret = group(&j, entries);
	for (i = 0; !ret && i < sizeof(steps) / sizeof(*steps); i++) {
		ret = join_all(&j, steps[i].leaf);
		if (set->n <= steps[i].tuples)
			break;
	}
	for (i = 0; i < set->n; i++)
		free(j.tally[i].slot);
	free(j.tally);
	if (!ret && set->n > SHUNT_TUPLE_MAX)
		ret = -E2BIG;
	if (!ret)
		sort(set, entry);
	return ret;
}

void shunt_tuples_free(struct shunt_tuple_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		free(set->at[i].entry);
	free(set->at);
	memset(set, 0, sizeof(*set));
}
