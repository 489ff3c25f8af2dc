/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/ethtool.h>

#include "loader/ethtool.h"
#include "loader/program.h"
#include "user/base/json.h"

cJSON *shunt_reply_new(const char *schema, const struct shunt_state *state)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "schema", schema);
	cJSON_AddStringToObject(reply, "interface", state->interface);
	if (*state->netns)
		cJSON_AddStringToObject(reply, "netns", state->netns);
	else
		cJSON_AddNullToObject(reply, "netns");
	shunt_json_add_u64(reply, "generation", state->generation);
	return reply;
}

cJSON *shunt_reply_hooks(cJSON *reply, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "hooks");
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		cJSON *item;

		if (!state->place[hook].on)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "hook", shunt_hook_name(hook));
		cJSON_AddStringToObject(item, "mode", state->place[hook].mode);
		cJSON_AddNumberToObject(item, "program", state->place[hook].prog_id);
		if (state->place[hook].priority)
			cJSON_AddNumberToObject(item, "priority",
						state->place[hook].priority);
		cJSON_AddItemToArray(list, item);
	}
	return list;
}

void shunt_reply_warn(cJSON *reply, const char *fmt, ...)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "warnings");
	char text[sizeof(struct shunt_err)];
	va_list args;

	if (!list)
		list = cJSON_AddArrayToObject(reply, "warnings");
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

void shunt_reply_warnings(cJSON *reply, const cJSON *from)
{
	const cJSON *one;

	if (!cJSON_HasObjectItem(reply, "warnings"))
		cJSON_AddArrayToObject(reply, "warnings");
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(from, "warnings"))
		shunt_reply_warn(reply, "%s", one->valuestring);
}

static bool xdp_cannot(struct shunt_err *why, const struct shunt_reply_deed *deed)
{
	if (!deed->mirror)
		return false;
	return shunt_fail(
		why, 1,
		"rule %s: xdp cannot copy a packet to an interface: its packets "
		"go their way and no copy to %s, which counts as mirror_lost. "
		"Attach tc-ingress instead, or write \"mirror\": \"ring\"",
		deed->rule, deed->mirror);
}

/* Netfilter may only look at a packet, let it pass, or drop it. */
static bool nf_cannot_act(const struct shunt_reply_deed *deed)
{
	return deed->action == SHUNT_VERDICT_TX ||
	       deed->action == SHUNT_VERDICT_INTERFACE ||
	       deed->action == SHUNT_VERDICT_CPU ||
	       (deed->action == SHUNT_VERDICT_CONSUMER && deed->sockets);
}

static bool nf_cannot_rewrite(const struct shunt_reply_deed *deed)
{
	return deed->rewrites && deed->action != SHUNT_VERDICT_DROP;
}

static bool nf_cannot(struct shunt_err *why, const struct shunt_reply_deed *deed)
{
	if (nf_cannot_rewrite(deed))
		return shunt_fail(
			why, 1,
			"rule %s: netfilter cannot rewrite: its packets %s there. "
			"Attach tc-ingress instead",
			deed->rule,
			deed->action == SHUNT_VERDICT_CONSUMER
				? "go the consumer's if_down way"
				: "pass unchanged");
	if (deed->action == SHUNT_VERDICT_CONSUMER && deed->sockets)
		return shunt_fail(
			why, 1,
			"rule %s: netfilter cannot redirect into the sockets of "
			"consumer %s, only XDP can: it gets its packets from there by "
			"a ring buffer",
			deed->rule, deed->target);
	if (nf_cannot_act(deed))
		return shunt_fail(
			why, 1,
			"rule %s: netfilter cannot do %s: its packets pass there",
			deed->rule, shunt_action_name(deed->action));
	if (!deed->mirror)
		return false;
	return shunt_fail(
		why, 1,
		"rule %s: netfilter cannot copy a packet to an interface: its packets "
		"go their way and no copy to %s, which counts as mirror_lost. "
		"Attach tc-ingress instead, or write \"mirror\": \"ring\"",
		deed->rule, deed->mirror);
}

const char *shunt_reply_cannot_key(enum shunt_hook hook,
				   const struct shunt_reply_deed *deed)
{
	if (hook == SHUNT_HOOK_XDP)
		return "mirror";
	if (hook != SHUNT_HOOK_NETFILTER)
		return "action";
	if (nf_cannot_rewrite(deed))
		return "rewrite";
	return nf_cannot_act(deed) ? "action" : "mirror";
}

bool shunt_reply_cannot(struct shunt_err *why, enum shunt_hook hook,
			const struct shunt_reply_deed *deed)
{
	const char *name = shunt_hook_name(hook);

	if (hook == SHUNT_HOOK_XDP)
		return xdp_cannot(why, deed);
	if (hook == SHUNT_HOOK_NETFILTER)
		return nf_cannot(why, deed);
	if (deed->action == SHUNT_VERDICT_CONSUMER && deed->sockets)
		return shunt_fail(
			why, 1,
			"rule %s: %s cannot redirect into the sockets of consumer %s, "
			"only XDP can: it gets its packets from there by a ring buffer",
			deed->rule, name, deed->target);
	if (deed->action == SHUNT_VERDICT_CPU ||
	    (deed->action == SHUNT_VERDICT_TX && hook == SHUNT_HOOK_TC_EGRESS))
		return shunt_fail(why, 1,
				  "rule %s: %s cannot do %s: its packets pass there",
				  deed->rule, name, shunt_action_name(deed->action));
	return false;
}

/* Is the interface one end of a veth? Its peer's packets may lack their checksums. */
static bool is_veth(const char *interface)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	return !shunt_ethtool(interface, &info) && !strcmp(info.driver, "veth");
}

static void warn_checksums(cJSON *reply, const struct shunt_state *state)
{
	const char *rule = NULL;
	size_t r;

	for (r = 0; r < state->rules && !rule; r++)
		if (state->rule[r].readdress)
			rule = state->rule[r].name;
	if (rule && is_veth(state->interface))
		shunt_reply_warn(
			reply,
			"rule %s: %s is a veth, whose peer leaves checksums to "
			"hardware; xdp cannot put right those that are not made yet. "
			"On the peer: `ethtool -K PEER tx off`; or attach tc-ingress "
			"instead",
			rule, state->interface);
}

static struct shunt_reply_deed deed_of(const struct shunt_state *state,
				       const struct shunt_state_rule *rule)
{
	const struct shunt_state_consumer *consumer =
		rule->action == SHUNT_VERDICT_CONSUMER
			? shunt_state_consumer(state, rule->target)
			: NULL;

	return (struct shunt_reply_deed){
		.rule = rule->name,
		.action = rule->action,
		.target = rule->target,
		.sockets = consumer && consumer->kind == SHUNT_CONSUMER_XSK,
		.mirror = rule->mirror.to == SHUNT_MIRROR_INTERFACE
				  ? rule->mirror.target
				  : NULL,
		.rewrites = rule->rewrites,
	};
}

void shunt_reply_warn_hooks(cJSON *reply, const struct shunt_state *state)
{
	struct shunt_err why;
	int hook;
	size_t r;

	if (state->place[SHUNT_HOOK_XDP].on)
		warn_checksums(reply, state);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		for (r = 0; state->place[hook].on && r < state->rules; r++) {
			struct shunt_reply_deed deed = deed_of(state, &state->rule[r]);

			if (shunt_reply_cannot(&why, hook, &deed))
				shunt_reply_warn(reply, "%s", why.message);
		}
	}
}
