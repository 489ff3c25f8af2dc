/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/reply.h"

#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "loader/program.h"
#include "user/base/cleanup.h"
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

/* Does the rule redirect into sockets? */
static bool is_socket(const struct shunt_state *state,
		      const struct shunt_state_rule *rule)
{
	const struct shunt_state_consumer *consumer =
		rule->action == SHUNT_VERDICT_CONSUMER
			? shunt_state_consumer(state, rule->target)
			: NULL;

	return consumer && consumer->kind == SHUNT_CONSUMER_XSK;
}

/* Is the interface one end of a veth? Its peer's packets may lack their checksums. */
static bool is_veth(const char *interface)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (void *)&info };
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return fd >= 0 && !ioctl(fd, SIOCETHTOOL, &request) &&
	       !strcmp(info.driver, "veth");
}

static void warn_xdp(cJSON *reply, const struct shunt_state *state)
{
	const char *readdress = NULL;
	size_t r;

	for (r = 0; r < state->rules; r++) {
		const struct shunt_state_rule *rule = &state->rule[r];

		if (rule->mirror.to == SHUNT_MIRROR_INTERFACE)
			shunt_reply_warn(
				reply,
				"rule %s: xdp cannot copy a packet to an interface: "
				"its packets go their way and no copy to %s, which "
				"counts as mirror_lost. Attach tc-ingress instead, "
				"or write \"mirror\": \"ring\"",
				rule->name, rule->mirror.target);
		if (rule->readdress && !readdress)
			readdress = rule->name;
	}
	if (readdress && is_veth(state->interface))
		shunt_reply_warn(
			reply,
			"rule %s: %s is a veth, whose peer leaves checksums to "
			"hardware; xdp cannot put right those that are not made yet. "
			"On the peer: `ethtool -K PEER tx off`; or attach tc-ingress "
			"instead",
			readdress, state->interface);
}

void shunt_reply_warn_hooks(cJSON *reply, const struct shunt_state *state)
{
	int hook;
	size_t r;

	if (state->place[SHUNT_HOOK_XDP].on)
		warn_xdp(reply, state);
	for (hook = SHUNT_HOOK_TC_INGRESS; hook < SHUNT_HOOK_MAX; hook++) {
		for (r = 0; state->place[hook].on && r < state->rules; r++) {
			const struct shunt_state_rule *rule = &state->rule[r];

			if (is_socket(state, rule))
				shunt_reply_warn(
					reply,
					"rule %s: %s cannot redirect into the sockets "
					"of consumer %s, only XDP can: it gets its "
					"packets from there by a ring buffer",
					rule->name, shunt_hook_name(hook),
					rule->target);
			if (rule->action == SHUNT_VERDICT_CPU ||
			    (rule->action == SHUNT_VERDICT_TX &&
			     hook == SHUNT_HOOK_TC_EGRESS))
				shunt_reply_warn(
					reply,
					"rule %s: %s cannot do %s: its packets "
					"pass there",
					rule->name, shunt_hook_name(hook),
					shunt_action_name(rule->action));
		}
	}
}
