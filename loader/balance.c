/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/balance.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "loader/percpu.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/seat_json.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define TRIES 5
#define NAP_US 2000
#define POLL                                                                           \
	64u /* packets that a driver polls at once, by the kernel's NAPI_POLL_WEIGHT */

struct balance {
	const struct shunt_instance *instance;
	struct shunt_reading *now;
	cJSON *differences;
	bool moving, watched;
	uint64_t tolerance;
	struct shunt_err why; /* not watched */
	uint64_t missed;
};

/* --- judging ----------------------------------------------------------------- */

static void differ(struct balance *b, int64_t packets, const char *fmt, ...)
	SHUNT_PRINTF(3, 4);

static void differ(struct balance *b, int64_t packets, const char *fmt, ...)
{
	cJSON *item = cJSON_CreateObject();
	char where[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(where, sizeof(where), fmt, args);
	va_end(args);
	cJSON_AddStringToObject(item, "where", where);
	cJSON_AddNumberToObject(item, "packets", packets);
	cJSON_AddItemToArray(b->differences, item);
}

static bool is_near(const struct balance *b, int64_t difference)
{
	return difference <= (int64_t)b->tolerance &&
	       -difference <= (int64_t)b->tolerance;
}

static void judge_hook(struct balance *b, uint32_t hook)
{
	struct shunt_hook_sums sums = shunt_reading_hook(b->now, hook);
	int64_t rules = b->now->rules[hook] - sums.decided;
	int64_t handed = sums.verdict[SHUNT_VERDICT_CONSUMER] - sums.handed;

	if (!is_near(b, rules))
		differ(b, rules,
		       "hook %s: rules and default decided %" PRIu64
		       " packets, and %" PRIu64 " left by a reason that follows a rule",
		       shunt_hook_name(hook), b->now->rules[hook], sums.decided);
	if (!is_near(b, handed))
		differ(b, handed,
		       "hook %s: %" PRIu64
		       " packets were redirected to consumers, and %" PRIu64
		       " handed to one",
		       shunt_hook_name(hook), sums.verdict[SHUNT_VERDICT_CONSUMER],
		       sums.handed);
}

static bool has_sent(const struct balance *b)
{
	return b->watched && !b->now->flow.watch[SHUNT_WATCH_GENERIC];
}

/* What the watch has seen of packets to interfaces and CPUs. */
static void judge_targets(struct balance *b)
{
	struct shunt_hook_sums xdp = shunt_reading_hook(b->now, SHUNT_HOOK_XDP);
	const uint64_t *watch = b->now->flow.watch;
	uint64_t lost = shunt_reading_losses(b->now, SHUNT_LOSS_INTERFACE);
	int64_t open =
		xdp.verdict[SHUNT_VERDICT_INTERFACE] - lost - watch[SHUNT_WATCH_SENT];

	if (has_sent(b) && !is_near(b, open))
		differ(b, open,
		       "hook xdp, to interfaces: %" PRIu64
		       " packets were redirected, %" PRIu64 " accepted and %" PRIu64
		       " lost",
		       xdp.verdict[SHUNT_VERDICT_INTERFACE], watch[SHUNT_WATCH_SENT],
		       lost);
	lost = shunt_reading_losses(b->now, SHUNT_LOSS_CPU);
	open = xdp.verdict[SHUNT_VERDICT_CPU] - lost - watch[SHUNT_WATCH_CPU_QUEUED];
	if (b->watched && !is_near(b, open))
		differ(b, open,
		       "hook xdp, to CPUs: %" PRIu64
		       " packets were redirected, %" PRIu64 " queued and %" PRIu64
		       " lost",
		       xdp.verdict[SHUNT_VERDICT_CPU], watch[SHUNT_WATCH_CPU_QUEUED],
		       lost);
	open = watch[SHUNT_WATCH_CPU_QUEUED] - watch[SHUNT_WATCH_CPU_TAKEN];
	if (open < -(int64_t)b->tolerance)
		differ(b, open,
		       "hook xdp, to CPUs: %" PRIu64 " packets were queued, and "
		       "%" PRIu64 " taken",
		       watch[SHUNT_WATCH_CPU_QUEUED], watch[SHUNT_WATCH_CPU_TAKEN]);
	if (watch[SHUNT_WATCH_UNNOTED])
		differ(b, watch[SHUNT_WATCH_UNNOTED],
		       "packets were lost in more ways than there is room to note");
}

/* The consumer of a slot; "" where the policy names it no longer. */
static const char *name_of(const struct shunt_state *state, uint32_t slot)
{
	size_t c;

	for (c = 0; c < state->consumers; c++)
		if (state->consumer[c].slot == slot)
			return state->consumer[c].name;
	return "";
}

static void judge_seat(struct balance *b, uint32_t slot, uint32_t place)
{
	const struct shunt_flow *flow = &b->now->flow;
	const struct shunt_seat *seat = &flow->seat[shunt_seat_key(slot, place)];
	int64_t open = shunt_flow_open(flow, slot, place);
	int64_t most = b->tolerance + (seat->pid ? seat->room : 0);
	const char *name = name_of(b->instance->state, slot);
	char way[32];

	if (open >= -(int64_t)b->tolerance && open <= most)
		return;
	snprintf(way, sizeof(way), place == SHUNT_SEAT_RING ? "ring" : "queue %u",
		 place);
	differ(b, open,
	       "consumer %s, %s: %" PRIu64 " packets were handed over, %" PRIu64
	       " lost by the kernel, %" PRIu64 " taken and %" PRIu64
	       " lost with consumers that died; %s",
	       *name ? name : "(no longer in the policy)", way,
	       shunt_flow_handed(flow, slot, place), shunt_flow_lost(flow, slot, place),
	       (uint64_t)(seat->received + seat->discarded), (uint64_t)seat->lost,
	       open < 0	   ? "more than were handed over"
	       : seat->pid ? "the rest is more than can wait there"
			   : "nobody is there for whom the rest could wait");
}

static void judge(struct balance *b)
{
	uint32_t hook, slot, place;

	cJSON_Delete(b->differences);
	b->differences = cJSON_CreateArray();
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		judge_hook(b, hook);
	judge_targets(b);
	for (slot = 0; slot < SHUNT_CONSUMER_SLOTS; slot++)
		for (place = 0; place < SHUNT_SEATS; place++)
			judge_seat(b, slot, place);
}

/* --- reading until it rests --------------------------------------------------- */

static uint64_t offered(const struct shunt_reading *reading)
{
	uint64_t sum = 0;
	uint32_t hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		sum += shunt_reading_hook(reading, hook).offered;
	return sum;
}

/*
 * A reading at rest that does not balance is tried again, too: a CPU that the machine's
 * owner has stopped in the middle of a packet looks like that.
 */
static int settle(struct balance *b, struct shunt_reading *pair, struct shunt_err *err)
{
	int try, ret = shunt_reading_take(&pair[0], b->instance, err);

	for (try = 1; !ret; try++) {
		struct shunt_reading *before = &pair[!(try & 1)];

		b->now = &pair[try & 1];
		ret = shunt_reading_take(b->now, b->instance, err);
		if (ret)
			break;
		b->moving = !shunt_reading_same(before, b->now);
		b->tolerance = b->moving ? offered(b->now) - offered(before) +
						   (uint64_t)POLL * shunt_cpus()
					 : 0;
		judge(b);
		if (try == TRIES || (!b->moving && !cJSON_GetArraySize(b->differences)))
			break;
		usleep(NAP_US);
	}
	return ret;
}

/* --- the answer --------------------------------------------------------------- */

static void put_count(cJSON *list, const char *name, uint64_t packets)
{
	cJSON *item;

	if (!packets)
		return;
	item = cJSON_CreateObject();
	cJSON_AddStringToObject(item, "name", name);
	shunt_json_add_u64(item, "packets", packets);
	cJSON_AddItemToArray(list, item);
}

static void put_reasons(cJSON *hook_json, const struct balance *b, uint32_t hook,
			const char *key, uint32_t verdict)
{
	static const struct {
		uint32_t value;
		const char *name;
	} reasons[] = {
#define X(id, value, name, malformed, help) { value, name },
		SHUNT_REASONS(X)
#undef X
	};
	cJSON *list = cJSON_AddArrayToObject(hook_json, key);
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		put_count(list, reasons[i].name,
			  shunt_reading_cell(b->now, hook, reasons[i].value, verdict));
}

static void put_sums(cJSON *object, const struct shunt_hook_sums *sums)
{
	cJSON *to;

	shunt_json_add_u64(object, "offered", sums->offered);
	shunt_json_add_u64(object, "passed", sums->verdict[SHUNT_VERDICT_PASS]);
	shunt_json_add_u64(object, "dropped", sums->verdict[SHUNT_VERDICT_DROP]);
	shunt_json_add_u64(object, "transmitted", sums->verdict[SHUNT_VERDICT_TX]);
	to = cJSON_AddObjectToObject(object, "redirected");
	shunt_json_add_u64(to, "interface", sums->verdict[SHUNT_VERDICT_INTERFACE]);
	shunt_json_add_u64(to, "cpu", sums->verdict[SHUNT_VERDICT_CPU]);
	shunt_json_add_u64(to, "consumer", sums->verdict[SHUNT_VERDICT_CONSUMER]);
}

/* Hooks that are on, or that have counted. */
static void put_hooks(cJSON *reply, const struct balance *b)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "hooks");
	struct shunt_hook_sums total = { 0 };
	uint32_t hook, verdict;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_hook_sums sums = shunt_reading_hook(b->now, hook);
		bool on = b->instance->state->place[hook].on;
		cJSON *item;

		if (!on && !sums.offered)
			continue;
		total.offered += sums.offered;
		for (verdict = 0; verdict < SHUNT_VERDICT_MAX; verdict++)
			total.verdict[verdict] += sums.verdict[verdict];
		item = cJSON_CreateObject();
		cJSON_AddItemToArray(list, item);
		cJSON_AddStringToObject(item, "hook", shunt_hook_name(hook));
		cJSON_AddBoolToObject(item, "on", on);
		put_sums(item, &sums);
		put_reasons(item, b, hook, "passed_by", SHUNT_VERDICT_PASS);
		put_reasons(item, b, hook, "dropped_by", SHUNT_VERDICT_DROP);
	}
	put_sums(cJSON_AddObjectToObject(reply, "total"), &total);
}

/* Losses of a kind, each with its name and errno; index: UINT32_MAX for all. */
static void put_losses(cJSON *object, const struct balance *b, uint32_t where,
		       uint32_t index)
{
	const struct shunt_losses *losses = &b->now->flow.losses;
	cJSON *list = cJSON_AddArrayToObject(object, "errors");
	char interface[IF_NAMESIZE];
	size_t i;

	for (i = 0; i < losses->count; i++) {
		const struct shunt_loss *key = &losses->key[i];
		cJSON *item;

		if (key->where != where || !losses->packets[i] ||
		    (index != UINT32_MAX && key->index != index))
			continue;
		item = cJSON_CreateObject();
		cJSON_AddItemToArray(list, item);
		cJSON_AddStringToObject(item, "name", shunt_loss_name(key));
		cJSON_AddNumberToObject(item, "errno", key->error);
		if (where == SHUNT_LOSS_INTERFACE &&
		    if_indextoname(key->index, interface))
			cJSON_AddStringToObject(item, "target", interface);
		else if (where == SHUNT_LOSS_INTERFACE || where == SHUNT_LOSS_CPU)
			cJSON_AddNumberToObject(item, "target", key->index);
		shunt_json_add_u64(item, "packets", losses->packets[i]);
	}
}

static void put_signed(cJSON *object, const char *key, int64_t value)
{
	shunt_json_add_u64(object, key, value > 0 ? value : 0);
}

static void put_targets(cJSON *reply, const struct balance *b)
{
	struct shunt_hook_sums xdp = shunt_reading_hook(b->now, SHUNT_HOOK_XDP);
	const uint64_t *watch = b->now->flow.watch;
	uint64_t lost = shunt_reading_losses(b->now, SHUNT_LOSS_INTERFACE);
	cJSON *object = cJSON_AddObjectToObject(reply, "transmit");

	shunt_json_add_u64(object, "packets", xdp.verdict[SHUNT_VERDICT_TX]);
	put_losses(object, b, SHUNT_LOSS_TX, UINT32_MAX);
	object = cJSON_AddObjectToObject(reply, "interfaces");
	shunt_json_add_u64(object, "packets", xdp.verdict[SHUNT_VERDICT_INTERFACE]);
	put_losses(object, b, SHUNT_LOSS_INTERFACE, UINT32_MAX);
	cJSON_AddBoolToObject(object, "observed", has_sent(b));
	shunt_json_add_u64(object, "accepted",
			   has_sent(b) ? watch[SHUNT_WATCH_SENT]
				       : xdp.verdict[SHUNT_VERDICT_INTERFACE] - lost);
	object = cJSON_AddObjectToObject(reply, "cpus");
	shunt_json_add_u64(object, "packets", xdp.verdict[SHUNT_VERDICT_CPU]);
	put_losses(object, b, SHUNT_LOSS_CPU, UINT32_MAX);
	put_signed(object, "waiting",
		   watch[SHUNT_WATCH_CPU_QUEUED] - watch[SHUNT_WATCH_CPU_TAKEN]);
	shunt_json_add_u64(object, "taken", watch[SHUNT_WATCH_CPU_TAKEN]);
	shunt_json_add_u64(object, "no_memory",
			   shunt_reading_losses(b->now, SHUNT_LOSS_STACK));
}

static void put_seat(cJSON *list, const struct balance *b, uint32_t slot,
		     uint32_t place)
{
	const struct shunt_flow *flow = &b->now->flow;
	const struct shunt_seat *seat = &flow->seat[shunt_seat_key(slot, place)];
	bool served;
	uint64_t handed = shunt_flow_handed(flow, slot, place), full = 0;
	int64_t open = shunt_flow_open(flow, slot, place);
	cJSON *item;
	uint32_t hook;

	if (!handed && !seat->pid && !seat->received)
		return;
	item = cJSON_CreateObject();
	cJSON_AddItemToArray(list, item);
	shunt_seat_put_place(item, place);
	served = shunt_seat_put(item, &b->instance->maps, seat, slot, place);
	shunt_json_add_u64(item, "handed", handed);
	put_losses(item, b, SHUNT_LOSS_CONSUMER, shunt_consumer_key(slot, place));
	if (place == SHUNT_SEAT_RING) {
		/* the consumer's if_down has decided about these */
		for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
			full += flow->handed[shunt_handed_key(slot,
							      SHUNT_LANE_FULL + hook)];
		shunt_json_add_u64(item, "turned_away", full);
	} else {
		cJSON *own = cJSON_AddObjectToObject(item, "socket");

		shunt_json_add_u64(own, "ring_full", seat->ring_full);
		shunt_json_add_u64(own, "dropped", seat->dropped);
		shunt_json_add_u64(own, "fill_empty", seat->fill_empty);
	}
	shunt_json_add_u64(item, "received", seat->received);
	shunt_json_add_u64(item, "discarded", seat->discarded);
	put_signed(item, "waiting", served ? open : 0);
	put_signed(item, "lost",
		   seat->lost + (seat->pid && !served && open > 0 ? open : 0));
}

static void put_consumers(cJSON *reply, const struct balance *b)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "consumers");
	const struct shunt_state *state = b->instance->state;
	uint32_t slot, place;

	for (slot = 0; slot < SHUNT_CONSUMER_SLOTS; slot++) {
		const char *name = name_of(state, slot);
		cJSON *item = cJSON_CreateObject(), *seats;

		if (*name)
			cJSON_AddStringToObject(item, "consumer", name);
		else
			cJSON_AddNullToObject(item, "consumer");
		seats = cJSON_AddArrayToObject(item, "seats");
		for (place = 0; place < SHUNT_SEATS; place++)
			put_seat(seats, b, slot, place);
		if (*name || cJSON_GetArraySize(seats))
			cJSON_AddItemToArray(list, item);
		else
			cJSON_Delete(item);
	}
}

/* Where nothing was redirected, and nothing will be, there is nothing to know. */
static bool is_known(const struct balance *b)
{
	struct shunt_hook_sums xdp = shunt_reading_hook(b->now, SHUNT_HOOK_XDP);

	return b->watched ||
	       (!shunt_watch_is_due(b->instance->state) &&
		!xdp.verdict[SHUNT_VERDICT_TX] && !xdp.verdict[SHUNT_VERDICT_CPU] &&
		!xdp.verdict[SHUNT_VERDICT_INTERFACE] &&
		!xdp.verdict[SHUNT_VERDICT_CONSUMER]);
}

static cJSON *answer(struct balance *b)
{
	cJSON *reply = shunt_reply_new("shunt.ledger/1", b->instance->state), *watch;
	bool known = is_known(b);

	cJSON_AddBoolToObject(reply, "balanced", !cJSON_GetArraySize(b->differences));
	cJSON_AddBoolToObject(reply, "moving", b->moving);
	shunt_json_add_u64(reply, "tolerance", b->tolerance);
	cJSON_AddItemToObject(reply, "differences", b->differences);
	b->differences = NULL;
	watch = cJSON_AddObjectToObject(reply, "watch");
	cJSON_AddBoolToObject(watch, "known", known);
	if (known)
		cJSON_AddNullToObject(watch, "why");
	else
		cJSON_AddStringToObject(watch, "why", b->why.message);
	shunt_json_add_u64(watch, "missed", b->missed);
	put_hooks(reply, b);
	put_targets(reply, b);
	put_consumers(reply, b);
	return reply;
}

int shunt_balance(const char *interface, cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct balance b = { .instance = &instance };
	_free_ struct shunt_reading *pair = calloc(2, sizeof(*pair));
	int ret;

	*reply = NULL;
	if (!pair)
		return shunt_fail(err, -ENOMEM, "read the ledger: out of memory");
	ret = shunt_instance_open(&instance, interface, false, err);
	if (ret)
		return ret;
	b.watched = shunt_watch_is_whole(&instance, &b.missed, &b.why);
	ret = settle(&b, pair, err);
	if (!ret)
		*reply = answer(&b);
	cJSON_Delete(b.differences);
	shunt_reading_free(&pair[0]);
	shunt_reading_free(&pair[1]);
	return ret;
}
