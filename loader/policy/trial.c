/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/trial.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/prefix.h"

#define ASKS_MAX (1 + SHUNT_LAYERS * (2 * SHUNT_SIDES + SHUNT_FIELD_COUNT))

_Static_assert(SHUNT_SET_MAX <= 32, "a subject remembers sets in 32 bits");

/* --- what rules ask ---------------------------------------------------------- */

static uint64_t be64(const uint8_t *at)
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static uint64_t high_bits(int bits)
{
	return bits <= 0 ? 0 : bits >= 64 ? ~0ull : ~0ull << (64 - bits);
}

static bool is_asked(const struct shunt_addr_list *list)
{
	return list->prefixes || list->sets;
}

/* The only prefix stands in the ask itself, for most rules have but one. */
static struct shunt_ask ask_address(int layer, int key,
				    const struct shunt_addr_list *list)
{
	struct shunt_ask ask = { .layer = layer, .key = key, .list = list };

	if (list->prefixes != 1 || list->sets)
		return ask;
	ask.only = list->prefix->family;
	ask.value[0] = be64(list->prefix->addr);
	ask.value[1] = be64(list->prefix->addr + 8);
	ask.mask[0] = high_bits(list->prefix->bits);
	ask.mask[1] = high_bits(list->prefix->bits - 64);
	return ask;
}

static size_t ask_layer(const struct shunt_policy_layer *want, int layer,
			struct shunt_ask *ask)
{
	size_t n = 0;
	int side, field;

	for (side = 0; side < SHUNT_SIDES; side++)
		if (is_asked(&want->side[side].in))
			ask[n++] = ask_address(layer, SHUNT_ASK_SRC + side,
					       &want->side[side].in);
	for (side = 0; side < SHUNT_SIDES; side++)
		if (is_asked(&want->side[side].out))
			ask[n++] = ask_address(layer, SHUNT_ASK_NOT_SRC + side,
					       &want->side[side].out);
	for (field = 0; field < SHUNT_FIELD_COUNT; field++)
		if (want->field[field].n)
			ask[n++] = (struct shunt_ask){
				.layer = layer,
				.key = field,
				.spans = want->field[field].n,
				.span = want->field[field].at,
			};
	return n;
}

static bool is_meant(const struct shunt_policy_rule *rule, const char *iface)
{
	size_t i;

	for (i = 0; i < rule->ifaces; i++)
		if (!fnmatch(rule->iface[i], iface, 0))
			return !rule->iface_not;
	return rule->iface_not;
}

/* Writes the asks of a rule; returns how many. */
static size_t ask_rule(const struct shunt_policy_rule *rule, const char *iface,
		       struct shunt_ask *ask)
{
	size_t n = 0;
	int layer;

	if (rule->ifaces)
		ask[n++] = (struct shunt_ask){ .key = SHUNT_ASK_IFACE,
					       .met = is_meant(rule, iface) };
	for (layer = 0; layer < SHUNT_LAYERS; layer++)
		n += ask_layer(&rule->layer[layer], layer, ask + n);
	return n;
}

int shunt_trials_make(struct shunt_trials *trials, const struct shunt_policy *policy,
		      const char *iface, struct shunt_err *err)
{
	struct shunt_ask scratch[ASKS_MAX];
	size_t r, n = 0;

	memset(trials, 0, sizeof(*trials));
	trials->policy = policy;
	strncpy(trials->iface, iface, sizeof(trials->iface) - 1);
	for (r = 0; r < policy->rules; r++)
		n += ask_rule(&policy->rule[r], iface, scratch);
	trials->ask = calloc(n + 1, sizeof(*trials->ask));
	trials->first = calloc(policy->rules + 1, sizeof(*trials->first));
	if (!trials->ask || !trials->first) {
		shunt_trials_free(trials);
		return shunt_fail(err, -ENOMEM, "try the rules: out of memory");
	}
	for (r = 0, n = 0; r < policy->rules; r++) {
		size_t some = ask_rule(&policy->rule[r], iface, scratch);

		trials->first[r] = n;
		memcpy(trials->ask + n, scratch, some * sizeof(*scratch));
		n += some;
	}
	trials->first[policy->rules] = n;
	return 0;
}

void shunt_trials_free(struct shunt_trials *trials)
{
	free(trials->ask);
	free(trials->first);
	memset(trials, 0, sizeof(*trials));
}

/* --- members of sets --------------------------------------------------------- */

static bool has_exactly(const struct shunt_policy_set *set,
			const struct shunt_prefix *asked)
{
	return set->elements && bsearch(asked, set->element, set->elements,
					sizeof(*asked), shunt_prefix_compare);
}

static int policy_has(void *self, uint32_t place, const struct shunt_prefix *asked)
{
	const struct shunt_policy *policy = self;
	const struct shunt_policy_set *set = &policy->set[place];
	struct shunt_prefix shorter = *asked;

	if (set->type != SHUNT_SET_PREFIX)
		return has_exactly(set, asked);
	for (;; shorter.bits--) {
		if (has_exactly(set, &shorter))
			return 1;
		if (!shorter.bits)
			return 0;
		shorter.addr[(shorter.bits - 1) / 8] &=
			~(0x80 >> (shorter.bits - 1) % 8);
	}
}

/* IPv4 comes first among the elements. */
static bool policy_member(void *self, uint32_t place, int family, size_t i,
			  struct shunt_prefix *member)
{
	const struct shunt_policy *policy = self;
	const struct shunt_policy_set *set = &policy->set[place];
	size_t at = family == 4 ? i : set->elements - 1 - i;

	if (i >= set->elements || set->element[at].family != family)
		return false;
	*member = set->element[at];
	return true;
}

struct shunt_roll shunt_roll_of_policy(const struct shunt_policy *policy)
{
	return (struct shunt_roll){ (void *)policy, policy_has, policy_member };
}

/* --- asks and a packet ------------------------------------------------------- */

void shunt_subject_begin(struct shunt_subject *subject,
			 const struct shunt_trials *trials,
			 const struct shunt_roll *roll, const struct shunt_pkt *pkt)
{
	memset(subject, 0, sizeof(*subject));
	subject->trials = trials;
	subject->roll = roll;
	subject->pkt = pkt;
}

/* One end of a layer as a set is asked for it; false: it can be in none. */
static bool end_of(const struct shunt_layer *l, int side, bool service,
		   struct shunt_prefix *end)
{
	uint32_t port = l->field[side == SHUNT_SIDE_SRC ? SHUNT_FIELD_SPORT
							: SHUNT_FIELD_DPORT];

	memset(end, 0, sizeof(*end));
	end->family = l->l3;
	end->bits = l->l3 == SHUNT_L3_IP4 ? 32 : 128;
	memcpy(end->addr, l->addr[side], end->bits / 8);
	if (!service)
		return true;
	end->proto = l->field[SHUNT_FIELD_PROTO] - 1;
	end->port = port - 1;
	return l->field[SHUNT_FIELD_PROTO] && port;
}

static int in_set(struct shunt_subject *s, const struct shunt_layer *l, int layer,
		  int side, uint32_t set)
{
	bool service = s->trials->policy->set[set].type == SHUNT_SET_SERVICE;
	int at = layer * SHUNT_SIDES + side, ret = 0;
	struct shunt_prefix end;

	if (s->asked[at] >> set & 1)
		return s->has[at] >> set & 1;
	if (end_of(l, side, service, &end))
		ret = s->roll->has(s->roll->self, set, &end);
	if (ret < 0)
		return ret;
	s->asked[at] |= 1u << set;
	s->has[at] |= (uint32_t) !!ret << set;
	return !!ret;
}

static bool in_prefix(const struct shunt_prefix *prefix, const uint8_t *addr)
{
	unsigned int bytes = prefix->bits / 8, rest = prefix->bits % 8;

	return !memcmp(prefix->addr, addr, bytes) &&
	       (!rest || (prefix->addr[bytes] ^ addr[bytes]) >> (8 - rest) == 0);
}

/* Is the address of this side in the list? A packet without one is in nothing. */
static int in_list(struct shunt_subject *s, const struct shunt_ask *ask, int side)
{
	const struct shunt_layer *l = &s->pkt->layer[ask->layer];
	const struct shunt_addr_list *list = ask->list;
	const uint8_t *addr = (const uint8_t *)l->addr[side];
	size_t i;
	int ret;

	if (ask->only)
		return ask->only == l->l3 &&
		       !((be64(addr) ^ ask->value[0]) & ask->mask[0]) &&
		       !((be64(addr + 8) ^ ask->value[1]) & ask->mask[1]);
	if (l->l3 == SHUNT_L3_NONE)
		return 0;
	for (i = 0; i < list->prefixes; i++)
		if (list->prefix[i].family == l->l3 &&
		    in_prefix(&list->prefix[i], addr))
			return 1;
	for (i = 0; i < list->sets; i++) {
		ret = in_set(s, l, ask->layer, side, list->set[i]);
		if (ret)
			return ret;
	}
	return 0;
}

int shunt_try_ask(struct shunt_subject *subject, const struct shunt_ask *ask)
{
	const struct shunt_layer *l = &subject->pkt->layer[ask->layer];
	uint64_t index;
	uint32_t i;
	int ret;

	switch (ask->key) {
	case SHUNT_ASK_SRC:
	case SHUNT_ASK_DST:
		return in_list(subject, ask, ask->key - SHUNT_ASK_SRC);
	case SHUNT_ASK_NOT_SRC:
	case SHUNT_ASK_NOT_DST:
		ret = in_list(subject, ask, ask->key - SHUNT_ASK_NOT_SRC);
		return ret < 0 ? ret : !ret;
	case SHUNT_ASK_IFACE:
		return ask->met;
	default:
		index = ask->key < SHUNT_FIELD_NARROW
				? l->field[ask->key]
				: l->wide[ask->key - SHUNT_FIELD_NARROW];
	}
	for (i = 0; i < ask->spans; i++)
		if (index >= ask->span[i].lo && index <= ask->span[i].hi)
			return 1;
	return 0;
}

/* --- rules ------------------------------------------------------------------- */

int shunt_try_rule(struct shunt_subject *subject, size_t rule, uint32_t misses,
		   struct shunt_trial *trial)
{
	const struct shunt_trials *trials = subject->trials;
	const struct shunt_ask *ask = trials->ask + trials->first[rule];
	const struct shunt_ask *end = trials->ask + trials->first[rule + 1];
	uint32_t missed = 0;

	*trial = (struct shunt_trial){ .asks = end - ask };
	for (; ask < end; ask++) {
		int ret = shunt_try_ask(subject, ask);

		if (ret < 0)
			return ret;
		if (ret) {
			trial->met++;
			continue;
		}
		if (!trial->missed)
			trial->missed = ask;
		if (++missed == misses)
			return 0;
	}
	return 0;
}

static void note_near(struct shunt_nearly *nearly, size_t rule,
		      const struct shunt_trial *trial)
{
	size_t at = nearly->n;

	if (!trial->met || trial->met + 1 != trial->asks)
		return;
	nearly->total++;
	if (nearly->n < SHUNT_NEARLY_MAX)
		nearly->n++;
	for (; at && nearly->at[at - 1].trial.met < trial->met; at--)
		if (at < SHUNT_NEARLY_MAX)
			nearly->at[at] = nearly->at[at - 1];
	if (at == SHUNT_NEARLY_MAX)
		return;
	nearly->at[at].rule = rule;
	nearly->at[at].trial = *trial;
}

int shunt_decide(struct shunt_subject *subject, struct shunt_decision *decision,
		 struct shunt_nearly *nearly)
{
	const struct shunt_policy *policy = subject->trials->policy;
	struct shunt_trial trial;
	size_t r;

	memset(decision, 0, sizeof(*decision));
	if (nearly)
		nearly->n = nearly->total = 0;
	for (r = 0; r < policy->rules; r++) {
		int ret = shunt_try_rule(subject, r, nearly ? 2 : 1, &trial);

		if (ret)
			return ret;
		if (trial.missed) {
			if (nearly)
				note_near(nearly, r, &trial);
			continue;
		}
		if (policy->rule[r].action != SHUNT_ACTION_COUNT)
			break;
		if (decision->counted < SHUNT_TRACE_COUNTED)
			decision->counted_rule[decision->counted] = r;
		decision->counted++;
	}
	decision->rule = r;
	decision->action =
		r < policy->rules ? policy->rule[r].action : policy->default_action;
	return 0;
}
