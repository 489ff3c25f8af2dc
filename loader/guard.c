/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "loader/netlink.h"
#include "loader/policy/tuple.h"
#include "loader/program.h"
#include "loader/state.h"
#include "user/base/cleanup.h"

/* --- whose session ------------------------------------------------------------- */

struct address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t bytes[16];
	char text[INET6_ADDRSTRLEN];
	const char *scope; /* "eth0" of "fe80::1%eth0"; "": none */
};

/* The text has no scope; IPv4 in IPv6 is IPv4. */
static bool read_address(struct address *to, const char *text)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t n = strcspn(text, "%");

	if (n >= sizeof(to->text))
		return false;
	memcpy(to->text, text, n);
	to->text[n] = 0;
	to->scope = text + n + (text[n] == '%');
	to->family = strchr(to->text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(to->family, to->text, to->bytes) != 1)
		return false;
	if (to->family == AF_INET6 && !memcmp(to->bytes, mapped, sizeof(mapped))) {
		to->family = AF_INET;
		memmove(to->bytes, to->bytes + 12, 4);
		inet_ntop(AF_INET, to->bytes, to->text, sizeof(to->text));
	}
	return true;
}

static size_t address_bytes(const struct address *address)
{
	return address->family == AF_INET ? 4 : 16;
}

/* Is it the address of an interface of this namespace? *own: of this one. */
static bool is_local(const struct address *address, const char *interface, bool *own)
{
	struct ifaddrs *all = NULL, *one;
	bool local = false;

	*own = false;
	if (getifaddrs(&all))
		return false;
	for (one = all; one; one = one->ifa_next) {
		const struct sockaddr *at = one->ifa_addr;
		const void *bytes;

		if (!at || at->sa_family != address->family)
			continue;
		bytes = address->family == AF_INET
				? (const void *)&((const struct sockaddr_in *)at)
					  ->sin_addr
				: &((const struct sockaddr_in6 *)at)->sin6_addr;
		if (memcmp(bytes, address->bytes, address_bytes(address)))
			continue;
		local = true;
		*own |= !strcmp(one->ifa_name, interface);
	}
	freeifaddrs(all);
	return local;
}

/* Does the route to the address lead by the interface? */
static bool is_routed(const struct address *address, const char *interface)
{
	const struct rtmsg head = {
		.rtm_family = address->family,
		.rtm_dst_len = 8 * address_bytes(address),
	};
	const void *oif;
	struct shunt_nl nl;
	uint32_t ifindex;
	size_t bytes;

	shunt_nl_start(&nl, RTM_GETROUTE, 0, &head, sizeof(head));
	shunt_nl_put(&nl, RTA_DST, address->bytes, address_bytes(address));
	if (shunt_nl_talk(&nl, NETLINK_ROUTE))
		return false;
	oif = shunt_nl_find(&nl, sizeof(head), RTA_OIF, &bytes);
	if (!oif || bytes != sizeof(ifindex))
		return false;
	memcpy(&ifindex, oif, sizeof(ifindex));
	return ifindex == if_nametoindex(interface);
}

/* --- packets ------------------------------------------------------------------- */

/* The key of the other direction; the key itself where both have the same. */
static const char *turned(const char *key)
{
	static const char *const pairs[][2] = { { "src", "dst" },
						{ "sport", "dport" },
						{ "src_mac", "dst_mac" } };
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (!strcmp(key, pairs[i][0]))
			return pairs[i][1];
		if (!strcmp(key, pairs[i][1]))
			return pairs[i][0];
	}
	return key;
}

/* "syn" is answered by "syn,ack", an echo request by a reply. */
static cJSON *turned_value(const cJSON *key)
{
	static const char *const pairs[][2] = { { "syn", "syn,ack" },
						{ "echo-request", "echo-reply" },
						{ "echo-reply", "echo-request" } };
	size_t i;

	for (i = 0; cJSON_IsString(key) && i < sizeof(pairs) / sizeof(*pairs); i++)
		if (!strcmp(key->valuestring, pairs[i][0]))
			return cJSON_CreateString(pairs[i][1]);
	return cJSON_Duplicate(key, true);
}

/* What goes back. */
static cJSON *turn(const cJSON *in)
{
	const cJSON *proto = cJSON_GetObjectItemCaseSensitive(in, "proto"), *key;
	cJSON *out = cJSON_CreateObject();

	cJSON_ArrayForEach(key, in)
		cJSON_AddItemToObject(out, turned(key->string), turned_value(key));
	/* without a word of them, what comes in opens a connection */
	if (!cJSON_HasObjectItem(in, "tcp_flags") &&
	    (cJSON_IsNumber(proto) ? proto->valueint == 6
				   : proto && !strcmp(proto->valuestring, "tcp")))
		cJSON_AddStringToObject(out, "tcp_flags", "syn,ack");
	return out;
}

/* Both frames of a description of what comes in, a match; it is taken over. */
static int add(struct shunt_guard *guard, const char *what, cJSON *match,
	       struct shunt_err *err)
{
	_json_ cJSON *in = match, *out = turn(in);
	struct shunt_guard_packet *packet, *grown;
	int way;

	grown = realloc(guard->at, (guard->n + 1) * sizeof(*grown));
	if (!grown)
		return shunt_fail(err, -ENOMEM, "out of memory");
	guard->at = grown;
	packet = &grown[guard->n++];
	memset(packet, 0, sizeof(*packet));
	snprintf(packet->what, sizeof(packet->what), "%s", what);
	for (way = 0; way < 2; way++) {
		packet->frame[way] = malloc(SHUNT_TUPLE_BYTES);
		if (!packet->frame[way])
			return shunt_fail(err, -ENOMEM, "out of memory");
		packet->bytes[way] =
			shunt_tuple_frame(way ? out : in, packet->frame[way], err);
		if (packet->bytes[way] < 0)
			return packet->bytes[way];
	}
	return 0;
}

/* Do its packets go through this interface? */
static bool concerns(const struct address *from, const struct address *to,
		     const char *interface)
{
	unsigned int scope = if_nametoindex(to->scope);
	bool own;

	/* what the machine says to itself goes by the loopback device */
	if (is_local(from, interface, &own))
		return !strcmp(interface, "lo");
	if (!is_local(to, interface, &own))
		return false;
	/* the same link-local address may be that of several */
	if (scope)
		return scope == if_nametoindex(interface);
	return own || is_routed(from, interface);
}

static int add_session(struct shunt_guard *guard, const char *interface,
		       const char *session, struct shunt_err *err)
{
	char client[64], server[64], what[SHUNT_GUARD_WORDS];
	unsigned int client_port, server_port;
	struct address from, to;
	int read = 0;
	cJSON *match;

	/* sshd's word where it serves no socket of an IP family */
	if (!strncmp(session, "UNKNOWN ", 8))
		return 0;
	if (sscanf(session, "%63s %5u %63s %5u %n", client, &client_port, server,
		   &server_port, &read) != 4 ||
	    session[read] || client_port > UINT16_MAX || server_port > UINT16_MAX ||
	    !read_address(&from, client) || !read_address(&to, server))
		return shunt_fail(err, -EINVAL,
				  "SSH_CONNECTION is \"%s\", not client, port, server, "
				  "port: correct it, unset it if this is no session of "
				  "SSH, or protect nobody with --force",
				  session);
	if (!concerns(&from, &to, interface))
		return 0;
	match = cJSON_CreateObject();
	cJSON_AddStringToObject(match, "src", from.text);
	cJSON_AddStringToObject(match, "dst", to.text);
	cJSON_AddStringToObject(match, "proto", "tcp");
	cJSON_AddNumberToObject(match, "sport", client_port);
	cJSON_AddNumberToObject(match, "dport", server_port);
	cJSON_AddStringToObject(match, "tcp_flags", "ack/syn,ack");
	snprintf(what, sizeof(what),
		 "the SSH session that this command comes from (%s port %u to %s port "
		 "%u)",
		 from.text, client_port, to.text, server_port);
	return add(guard, what, match, err);
}

/* "key=value,key=value"; a number is one, whatever is not is text. */
static int add_described(struct shunt_guard *guard, const char *text,
			 struct shunt_err *err)
{
	cJSON *match = cJSON_CreateObject();
	_free_ char *copy = strdup(text);
	char *pair, *next, *at, what[SHUNT_GUARD_WORDS];
	int ret;

	if (!copy) {
		cJSON_Delete(match);
		return shunt_fail(err, -ENOMEM, "protect \"%s\": out of memory", text);
	}
	for (pair = copy; pair; pair = next) {
		char *value = strchr(pair, '=');

		next = strchr(pair, ',');
		if (next)
			*next++ = 0;
		if (!value || value == pair || !value[1]) {
			cJSON_Delete(match);
			return shunt_fail(err, -EINVAL,
					  "protect \"%s\": \"%s\" is no key=value; say "
					  "src=ADDRESS,dst=ADDRESS,proto=tcp,dport=22",
					  text, pair);
		}
		*value++ = 0;
		for (at = pair; *at; at++)
			*at = *at == '-' ? '_' : *at;
		if (value[strspn(value, "0123456789")])
			cJSON_AddStringToObject(match, pair, value);
		else
			cJSON_AddNumberToObject(match, pair, strtod(value, NULL));
	}
	snprintf(what, sizeof(what), "the protected packet %s", text);
	ret = add(guard, what, match, err);
	return ret ? shunt_fail_in(err, ret, "protect \"%s\": ", text) : 0;
}

int shunt_guard_make(struct shunt_guard *guard, const char *interface,
		     const char *session, const char *const *protect, size_t protects,
		     struct shunt_err *err)
{
	int ret = session ? add_session(guard, interface, session, err) : 0;
	size_t i;

	for (i = 0; !ret && i < protects; i++)
		ret = add_described(guard, protect[i], err);
	return ret;
}

void shunt_guard_free(struct shunt_guard *guard)
{
	size_t i;

	for (i = 0; i < guard->n; i++) {
		free(guard->at[i].frame[0]);
		free(guard->at[i].frame[1]);
	}
	free(guard->at);
	memset(guard, 0, sizeof(*guard));
}

/* --- asking -------------------------------------------------------------------- */

/* On another CPU it still goes to the kernel's stack; a consumer may come up any time. */
static bool passes(const struct shunt_trace *trace)
{
	return trace->rule_data.action != SHUNT_VERDICT_CONSUMER &&
	       (trace->verdict == SHUNT_VERDICT_PASS ||
		trace->verdict == SHUNT_VERDICT_CPU);
}

int shunt_guard_check(const struct shunt_guard *guard, struct shunt_explain *explain,
		      struct shunt_err *err)
{
	const struct shunt_state *state = explain->instance.state;
	int way = explain->hook == SHUNT_HOOK_TC_EGRESS;
	struct shunt_trace trace;
	size_t i;

	for (i = 0; i < guard->n; i++) {
		const struct shunt_guard_packet *packet = &guard->at[i];
		bool by_rule;
		int ret = shunt_explain_run(explain, packet->frame[way],
					    packet->bytes[way], &trace, err);

		if (shunt_explain_refused(ret, packet->bytes[way]))
			continue; /* netfilter, and a frame that is not IP */
		if (ret)
			return ret;
		if (passes(&trace))
			continue;
		by_rule = trace.rule < state->rules;
		return shunt_fail(
			err, -EACCES,
			"this policy locks out %s: at hook %s %s%s does \"%s\" to what "
			"%s (reason %s); let it pass, or insist with --force",
			packet->what, shunt_hook_name(explain->hook),
			by_rule ? "rule " : "the default",
			by_rule ? state->rule[trace.rule].name : "",
			shunt_action_name(trace.rule_data.action),
			way ? "it answers" : "comes in",
			shunt_reason_name(trace.reason));
	}
	return 0;
}
