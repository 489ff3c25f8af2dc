/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/steer_flows.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "loader/policy/spans.h"

#define VALUES_MAX 16 /* of one field */
#define ETH_IPV4 0x0800
#define ETH_IPV6 0x86dd

/* What a rule asks for, value by value; n 0: it does not look at it. */
struct values {
	uint16_t at[VALUES_MAX];
	size_t n;
};

struct flows {
	const struct shunt_policy_rule *rule;
	struct values proto, port[SHUNT_SIDES];
	struct shunt_ntuple *filter;
	size_t n;
	struct shunt_err *err;
};

bool shunt_steer_wanted(const struct shunt_policy *policy,
			const struct shunt_policy_rule *rule)
{
	return rule->action == SHUNT_VERDICT_CONSUMER &&
	       policy->consumer[rule->arg].steer;
}

static const char *field_name(enum shunt_field field)
{
	static const char *const names[] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = name,
		SHUNT_FIELDS(X)
#undef X
	};

	return names[field];
}

/* --- what cannot be said ----------------------------------------------------- */

static bool is_sayable(enum shunt_field field)
{
	return field == SHUNT_FIELD_ETH_TYPE || field == SHUNT_FIELD_PROTO ||
	       field == SHUNT_FIELD_SPORT || field == SHUNT_FIELD_DPORT;
}

static bool asks_inside(const struct shunt_policy_rule *rule)
{
	const struct shunt_policy_layer *inner = &rule->layer[SHUNT_INNER];
	int field, side;

	for (field = 0; field < SHUNT_FIELD_COUNT; field++)
		if (inner->field[field].n)
			return true;
	for (side = 0; side < SHUNT_SIDES; side++)
		if (inner->side[side].in.prefixes || inner->side[side].in.sets ||
		    inner->side[side].out.prefixes || inner->side[side].out.sets)
			return true;
	return false;
}

static int check(const struct flows *flows)
{
	const struct shunt_policy_rule *rule = flows->rule;
	const struct shunt_policy_layer *layer = &rule->layer[SHUNT_OUTER];
	int field, side;

	if (asks_inside(rule))
		return shunt_fail(flows->err, -EOPNOTSUPP,
				  "rule %s: a filter does not look into tunnels",
				  rule->name);
	for (field = 0; field < SHUNT_FIELD_COUNT; field++)
		if (layer->field[field].n && !is_sayable(field))
			return shunt_fail(flows->err, -EOPNOTSUPP,
					  "rule %s: a filter does not look at \"%s\"",
					  rule->name, field_name(field));
	for (side = 0; side < SHUNT_SIDES; side++) {
		const struct shunt_addrs *addrs = &layer->side[side];

		if (addrs->in.sets || addrs->out.sets)
			return shunt_fail(flows->err, -EOPNOTSUPP,
					  "rule %s: a filter does not know sets",
					  rule->name);
		if (addrs->out.prefixes)
			return shunt_fail(
				flows->err, -EOPNOTSUPP,
				"rule %s: a filter cannot leave addresses out",
				rule->name);
	}
	return 0;
}

/* --- values ------------------------------------------------------------------ */

static int read_values(const struct flows *flows, enum shunt_field field,
		       struct values *values)
{
	const struct shunt_spans *spans = &flows->rule->layer[SHUNT_OUTER].field[field];
	size_t s;

	values->n = 0;
	for (s = 0; s < spans->n; s++) {
		uint64_t index;

		/* index 0: packets that do not have the field at all */
		if (!spans->at[s].lo ||
		    spans->at[s].hi - spans->at[s].lo >= VALUES_MAX - values->n)
			return shunt_fail(
				flows->err, -EOPNOTSUPP,
				"rule %s: a filter has one value of \"%s\", and "
				"the rule takes a range of them, or more than %d",
				flows->rule->name, field_name(field), VALUES_MAX);
		for (index = spans->at[s].lo; index <= spans->at[s].hi; index++)
			values->at[values->n++] = index - 1;
	}
	return 0;
}

static int read_ports(struct flows *flows)
{
	static const enum shunt_field field[] = {
		[SHUNT_SIDE_SRC] = SHUNT_FIELD_SPORT,
		[SHUNT_SIDE_DST] = SHUNT_FIELD_DPORT,
	};
	int side, ret = 0;

	for (side = 0; !ret && side < SHUNT_SIDES; side++) {
		ret = read_values(flows, field[side], &flows->port[side]);
		if (!ret && flows->port[side].n && !flows->port[side].at[0])
			ret = shunt_fail(flows->err, -EOPNOTSUPP,
					 "rule %s: a filter cannot name port 0",
					 flows->rule->name);
	}
	return ret;
}

static int read_protos(struct flows *flows)
{
	static const struct values all = {
		.at = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP }, .n = 3
	};
	int ret = read_values(flows, SHUNT_FIELD_PROTO, &flows->proto);
	size_t i;

	for (i = 0; !ret && i < flows->proto.n; i++)
		if (flows->proto.at[i] != IPPROTO_TCP &&
		    flows->proto.at[i] != IPPROTO_UDP &&
		    flows->proto.at[i] != IPPROTO_SCTP)
			return shunt_fail(
				flows->err, -EOPNOTSUPP,
				"rule %s: a filter is about TCP, UDP or SCTP, or about "
				"addresses alone",
				flows->rule->name);
	/* ports of any protocol are ports of each that has some */
	if (!ret && !flows->proto.n && flows->port[0].n + flows->port[1].n)
		flows->proto = all;
	return ret;
}

/* --- the product ------------------------------------------------------------- */

static int add(struct flows *flows, const struct shunt_ntuple *filter)
{
	if (flows->n == SHUNT_STEER_OF_RULE)
		return shunt_fail(flows->err, -EOPNOTSUPP,
				  "rule %s: it would take more than %d filters",
				  flows->rule->name, SHUNT_STEER_OF_RULE);
	flows->filter[flows->n++] = *filter;
	return 0;
}

/* A rule that does not look at something has one filter, with 0 in that place. */
static int add_ports(struct flows *flows, struct shunt_ntuple filter)
{
	const struct values *src = &flows->port[SHUNT_SIDE_SRC];
	const struct values *dst = &flows->port[SHUNT_SIDE_DST];
	size_t s, d;
	int ret = 0;

	for (s = 0; !ret && s < (src->n ? src->n : 1); s++)
		for (d = 0; !ret && d < (dst->n ? dst->n : 1); d++) {
			filter.port[SHUNT_SIDE_SRC] = src->n ? src->at[s] : 0;
			filter.port[SHUNT_SIDE_DST] = dst->n ? dst->at[d] : 0;
			ret = add(flows, &filter);
		}
	return ret;
}

static int add_protos(struct flows *flows, struct shunt_ntuple filter)
{
	size_t p;
	int ret = 0;

	for (p = 0; !ret && p < (flows->proto.n ? flows->proto.n : 1); p++) {
		filter.proto = flows->proto.n ? flows->proto.at[p] : 0;
		ret = add_ports(flows, filter);
	}
	return ret;
}

static const struct shunt_prefix any;

static bool is_of(const struct shunt_prefix *prefix, int family)
{
	return prefix == &any || prefix->family == family;
}

static struct shunt_prefix wide(const struct shunt_prefix *prefix)
{
	return prefix->bits ? *prefix
			    : any; /* 0.0.0.0/0 is any address of the family */
}

static int add_family(struct flows *flows, int family)
{
	const struct shunt_policy_layer *layer = &flows->rule->layer[SHUNT_OUTER];
	const struct shunt_addr_list *src = &layer->side[SHUNT_SIDE_SRC].in;
	const struct shunt_addr_list *dst = &layer->side[SHUNT_SIDE_DST].in;
	struct shunt_ntuple filter = { .family = family,
				       .location = SHUNT_NTUPLE_ANYWHERE };
	size_t s, d;
	int ret = 0;

	for (s = 0; !ret && s < (src->prefixes ? src->prefixes : 1); s++)
		for (d = 0; !ret && d < (dst->prefixes ? dst->prefixes : 1); d++) {
			const struct shunt_prefix *from =
				src->prefixes ? &src->prefix[s] : &any;
			const struct shunt_prefix *to =
				dst->prefixes ? &dst->prefix[d] : &any;

			if (!is_of(from, family) || !is_of(to, family))
				continue;
			filter.addr[SHUNT_SIDE_SRC] = wide(from);
			filter.addr[SHUNT_SIDE_DST] = wide(to);
			ret = add_protos(flows, filter);
		}
	return ret;
}

int shunt_steer_flows(const struct shunt_policy_rule *rule,
		      struct shunt_ntuple filter[SHUNT_STEER_OF_RULE],
		      struct shunt_err *err)
{
	const struct shunt_spans *type =
		&rule->layer[SHUNT_OUTER].field[SHUNT_FIELD_ETH_TYPE];
	struct flows flows = { .rule = rule, .filter = filter, .err = err };
	int ret = check(&flows);

	if (!ret)
		ret = read_ports(&flows);
	if (!ret)
		ret = read_protos(&flows);
	if (!ret && (!type->n || shunt_spans_have(type, ETH_IPV4 + 1)))
		ret = add_family(&flows, 4);
	if (!ret && (!type->n || shunt_spans_have(type, ETH_IPV6 + 1)))
		ret = add_family(&flows, 6);
	if (!ret && !flows.n)
		return shunt_fail(err, -EOPNOTSUPP,
				  "rule %s: a filter is about IPv4 or IPv6",
				  rule->name);
	return ret ? ret : (int)flows.n;
}
