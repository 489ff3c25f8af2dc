/* SPDX-License-Identifier: BSD-2-Clause */
/* Steering: rules to filters, filters to a NIC and back, and nothing of anybody else's. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include <linux/sockios.h>
#include <netinet/in.h>

#include "loader/steer_flows.h"
#include "loader/steer_nic.h"
#include "tests/model/nic.h"
#include "tests/model/random.h"

#define NIC                                                                            \
	"lo" /* there is one in every namespace; the kernel is never asked about it */

static struct nic_model nic;

int __wrap_ioctl(int fd, unsigned long request, struct ifreq *ifr);

int __wrap_ioctl(int fd, unsigned long request, struct ifreq *ifr)
{
	int ret = -EOPNOTSUPP;

	(void)fd;
	assert_int_equal(request, SIOCETHTOOL);
	assert_string_equal(ifr->ifr_name, NIC);
	if (nic_model_knows(*(uint32_t *)ifr->ifr_data))
		ret = nic_model_answer(&nic, ifr->ifr_data);
	errno = ret ? -ret : 0;
	return ret ? -1 : 0;
}

static int new_nic(void **ctx)
{
	(void)ctx;
	nic = (struct nic_model){ .size = 16, .queues = 8, .queues_max = 8 };
	return 0;
}

/* --- rules ------------------------------------------------------------------- */

static struct shunt_policy *policy_of(const char *match)
{
	struct shunt_diags diags = { 0 };
	struct shunt_policy *policy = NULL;
	char text[2048];
	int n = snprintf(
		text, sizeof(text),
		"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"sets\":{\"s\":{"
		"\"type\":\"address\"}},\"consumers\":{\"c\":{\"kind\":\"xsk\","
		"\"queues\":[1],\"steer\":true}},\"rules\":[{\"name\":\"r\",\"match\":"
		"{%s},\"action\":{\"redirect\":{\"consumer\":\"c\"}}}]}",
		match);

	if (shunt_policy_read(&policy, text, n, NULL, &diags))
		fail_msg("%s: %s: %s", match, diags.at[0].pointer, diags.at[0].message);
	shunt_diags_free(&diags);
	return policy;
}

static const struct {
	const char *match, *want; /* filters, or how the reason ends */
} rows[] = {
	{ "\"proto\":\"udp\",\"dport\":53",
	  "ipv4 udp any to any port 53;ipv6 udp any to any port 53;" },
	{ "\"proto\":[\"tcp\",\"udp\"],\"dst\":\"192.0.2.1\",\"dport\":[53,\"80-81\"]",
	  "ipv4 tcp any to 192.0.2.1 port 53;ipv4 tcp any to 192.0.2.1 port 80;"
	  "ipv4 tcp any to 192.0.2.1 port 81;ipv4 udp any to 192.0.2.1 port 53;"
	  "ipv4 udp any to 192.0.2.1 port 80;ipv4 udp any to 192.0.2.1 port 81;" },
	{ "\"src\":[\"10.0.0.0/8\",\"2001:db8::/32\"]",
	  "ipv4 any 10.0.0.0/8 to any;ipv6 any 2001:db8::/32 to any;" },
	{ "\"src\":[\"10.0.0.0/8\",\"2001:db8::/32\"],\"dst\":\"192.0.2.1\"",
	  "ipv4 any 10.0.0.0/8 to 192.0.2.1;" },
	{ "\"src\":\"0.0.0.0/0\",\"proto\":\"sctp\"", "ipv4 sctp any to any;" },
	{ "\"eth_type\":\"ipv6\",\"sport\":5",
	  "ipv6 tcp any port 5 to any;ipv6 udp any port 5 to any;"
	  "ipv6 sctp any port 5 to any;" },
	{ "\"eth_type\":\"ipv4\"", "ipv4 any any to any;" },
	{ "", "ipv4 any any to any;ipv6 any any to any;" },

	{ "\"proto\":\"udp\",\"dport\":\"1000-2000\"",
	  "one value of \"dport\", and the rule takes a range of them, or more than "
	  "16" },
	{ "\"proto\":\"udp\",\"not\":{\"dport\":53}",
	  "one value of \"dport\", and the rule takes a range of them, or more than "
	  "16" },
	{ "\"proto\":\"udp\",\"dport\":0", "a filter cannot name port 0" },
	{ "\"proto\":\"gre\"", "is about TCP, UDP or SCTP, or about addresses alone" },
	{ "\"proto\":\"tcp\",\"tcp_flags\":\"syn\"", "does not look at \"tcp_flags\"" },
	{ "\"dscp\":46", "does not look at \"dscp\"" },
	{ "\"vlan\":\"none\"", "does not look at \"vlan\"" },
	{ "\"src_mac\":\"02:00:00:00:00:01\"", "does not look at \"src_mac\"" },
	{ "\"fragment\":\"none\"", "does not look at \"fragment\"" },
	{ "\"eth_type\":\"arp\"", "a filter is about IPv4 or IPv6" },
	{ "\"src\":\"@s\"", "a filter does not know sets" },
	{ "\"not\":{\"src\":\"10.0.0.0/8\"}", "a filter cannot leave addresses out" },
	{ "\"tunnel\":{\"inner\":{\"dport\":5}}",
	  "a filter does not look into tunnels" },
	{ "\"tunnel\":{}", "does not look at \"tunnel\"" },
	{ "\"src\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0.5\"],"
	  "\"proto\":\"tcp\",\"dport\":[1,3,5,7,9,11,13,15,17,19,21,23,25]",
	  "it would take more than 64 filters" },
};

static void rules_become_these_filters_or_this_reason(void **ctx)
{
	struct shunt_ntuple filter[SHUNT_STEER_OF_RULE];
	char text[SHUNT_NTUPLE_TEXT], got[4096];
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *policy = policy_of(rows[i].match);
		struct shunt_err err = { "" };
		int f, n = shunt_steer_flows(policy->rule, filter, &err);
		size_t len = 0, want = strlen(rows[i].want);

		assert_true(shunt_steer_wanted(policy, policy->rule));
		for (f = 0; f < n; f++)
			len += snprintf(got + len, sizeof(got) - len, "%s;",
					shunt_ntuple_format(&filter[f], text));
		if (n >= 0) {
			assert_string_equal(got, rows[i].want);
		} else {
			assert_int_equal(n, -EOPNOTSUPP);
			assert_memory_equal(err.message, "rule r: ", 8);
			assert_true(strlen(err.message) >= want);
			assert_string_equal(err.message + strlen(err.message) - want,
					    rows[i].want);
		}
		shunt_policy_free(policy);
	}
}

/* --- the kernel's form ------------------------------------------------------- */

static struct shunt_prefix draw_prefix(struct shunt_random *random, int family)
{
	struct shunt_prefix prefix = { .family = family };
	unsigned int most = family == 4 ? 32 : 128, b;

	if (shunt_random_one_in(random, 3))
		return (struct shunt_prefix){ 0 };
	prefix.bits = shunt_random_in(random, 1, most);
	for (b = 0; b < prefix.bits; b++)
		if (shunt_random_one_in(random, 2))
			prefix.addr[b / 8] |= 0x80 >> b % 8;
	return prefix;
}

static struct shunt_ntuple draw_filter(struct shunt_random *random)
{
	static const uint8_t protos[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct shunt_ntuple filter = {
		.family = shunt_random_one_in(random, 2) ? 4 : 6,
		.proto = shunt_random_of(random, protos),
		.queue = shunt_random_below(random, 8),
		.location = shunt_random_below(random, 16),
	};
	int side;

	for (side = 0; side < SHUNT_SIDES; side++) {
		filter.addr[side] = draw_prefix(random, filter.family);
		if (filter.proto)
			filter.port[side] = shunt_random_below(random, 3) * 21845;
	}
	return filter;
}

static void the_table_is_a_list_of_what_was_put_in(void **ctx)
{
	struct shunt_random random = { shunt_random_seed(1) };
	struct shunt_ntuple naive[NIC_PLACES], got;
	bool used[NIC_PLACES] = { false };
	int round;

	(void)ctx;
	for (round = 0; round < 20000; round++) {
		struct shunt_ntuple filter = draw_filter(&random);
		struct shunt_ntuple_table table;
		uint32_t at = filter.location, i, n = 0;

		if (shunt_random_one_in(&random, 3)) {
			assert_int_equal(shunt_ntuple_delete(NIC, at),
					 used[at] ? 0 : -ENOENT);
			used[at] = false;
		} else {
			assert_int_equal(shunt_ntuple_insert(NIC, &filter), 0);
			assert_int_equal(filter.location, at);
			naive[at] = filter;
			used[at] = true;
		}
		assert_int_equal(shunt_ntuple_list(NIC, &table), 0);
		assert_int_equal(table.size, 16);
		for (i = 0; i < 16; i++) {
			n += used[i];
			assert_int_equal(shunt_ntuple_taken(&table, i), used[i]);
			assert_int_equal(shunt_ntuple_read(NIC, i, &got),
					 used[i] ? 0 : -ENOENT);
			if (used[i])
				assert_memory_equal(&got, &naive[i], sizeof(got));
		}
		assert_int_equal(table.rules, n);
		shunt_ntuple_table_free(&table);
	}
}

static void what_a_filter_cannot_say_is_somebody_elses(void **ctx)
{
	const struct shunt_ntuple plain = { .family = 4,
					    .proto = IPPROTO_UDP,
					    .port = { 0, 53 } };
	struct shunt_ntuple filter = plain;
	struct ethtool_rx_flow_spec *rule = &nic.rule[0], sound;
	size_t i;

	(void)ctx;
	assert_int_equal(shunt_ntuple_insert(NIC, &filter), 0);
	sound = *rule;
	for (i = 0; i < 7; i++) {
		*rule = sound;
		if (i == 0)
			rule->flow_type |= FLOW_EXT;
		if (i == 1)
			rule->flow_type |= FLOW_RSS;
		if (i == 2)
			rule->flow_type = ETHER_FLOW;
		if (i == 3)
			rule->ring_cookie = RX_CLS_FLOW_DISC;
		if (i == 4)
			rule->m_u.tcp_ip4_spec.ip4src = htonl(0xff00ff00);
		if (i == 5)
			rule->m_u.tcp_ip4_spec.pdst = htons(0xfff0);
		if (i == 6)
			rule->m_u.tcp_ip4_spec.tos = 0xff;
		assert_int_equal(shunt_ntuple_read(NIC, 0, &filter), -EPROTO);
	}
	/* bits that the mask leaves out say nothing */
	*rule = sound;
	rule->h_u.tcp_ip4_spec.ip4src = htonl(0x0a000001);
	assert_int_equal(shunt_ntuple_read(NIC, 0, &filter), 0);
	assert_true(shunt_ntuple_same(&filter, &plain));
}

static void a_filter_that_the_nic_makes_coarser_is_taken_out(void **ctx)
{
	struct shunt_ntuple filter = { .family = 4,
				       .proto = IPPROTO_UDP,
				       .port = { 5, 53 } };

	(void)ctx;
	nic.coarse = true;
	assert_int_equal(shunt_ntuple_insert(NIC, &filter), -EPROTO);
	assert_false(nic.used[0]);
}

/* --- a record and the NIC ---------------------------------------------------- */

static struct shunt_steer draw_record(struct shunt_random *random, size_t filters)
{
	struct shunt_steer steer = { 0 };

	while (steer.filters < filters) {
		struct shunt_ntuple is = draw_filter(random);

		is.location = SHUNT_NTUPLE_ANYWHERE;
		if (!shunt_steer_has_flow(&steer, &is))
			shunt_steer_add_filter(&steer)->is = is;
	}
	return steer;
}

static unsigned int count(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < NIC_PLACES; i++)
		n += nic.used[i];
	return n;
}

/* Somebody else's rules, some of a kind that we do not understand. */
static void fill_by_others(struct shunt_random *random)
{
	unsigned int n = shunt_random_below(random, 6);

	while (n--) {
		struct shunt_ntuple filter = draw_filter(random);

		if (nic.used[filter.location])
			continue;
		assert_int_equal(shunt_ntuple_insert(NIC, &filter), 0);
		if (shunt_random_one_in(random, 2))
			nic.rule[filter.location].flow_type |= FLOW_EXT;
	}
}

/*
 * Filters come and go, and any one change may be refused: what others have put in stays as
 * it was, and with the last of ours the table is what it has been.
 */
static void others_rules_stay_whatever_fails(void **ctx)
{
	struct shunt_random random = { shunt_random_seed(2) };
	int round;

	(void)ctx;
	for (round = 0; round < 3000; round++) {
		struct shunt_steer nothing = { 0 }, wanted = { 0 }, next;
		struct shunt_steer_nic on = SHUNT_STEER_NIC_NONE;
		struct nic_model before;
		unsigned int theirs;
		size_t i;

		new_nic(NULL);
		fill_by_others(&random);
		nic.anywhere = shunt_random_one_in(&random, 3);
		before = nic;
		theirs = count();
		nic.changes = 0;
		nic.full = shunt_random_one_in(&random, 3) ? 8 : 0;
		nic.fail_at = shunt_random_below(&random, 20);
		nic.fail_errno = EIO;
		assert_int_equal(shunt_steer_nic_open(&on, if_nametoindex(NIC), NULL),
				 0);
		for (i = 0; i < 3; i++) {
			next = draw_record(&random, shunt_random_below(&random, 8));
			assert_int_equal(
				shunt_steer_nic_place(&on, &next, &wanted, NULL), 0);
			assert_int_equal(
				shunt_steer_nic_insert(&on, &next, &wanted, NULL), 0);
			while (shunt_steer_nic_delete(&on, &wanted, &next, NULL))
				; /* the next command tries again */
			assert_int_equal(shunt_steer_nic_place(&on, &next, &next, NULL),
					 0);
			assert_int_equal(shunt_steer_nic_insert(&on, &next, NULL, NULL),
					 0);
			shunt_steer_free(&wanted);
			wanted = next;
			assert_int_equal(count(), theirs + wanted.filters);
		}
		while (shunt_steer_nic_delete(&on, &wanted, &nothing, NULL))
			;
		assert_memory_equal(nic.used, before.used, sizeof(nic.used));
		for (i = 0; i < NIC_PLACES; i++)
			if (before.used[i])
				assert_memory_equal(&nic.rule[i], &before.rule[i],
						    sizeof(nic.rule[i]));
		shunt_steer_free(&wanted);
		shunt_steer_nic_close(&on);
	}
}

static void a_rule_that_somebody_has_put_into_our_place_stays(void **ctx)
{
	struct shunt_random random = { shunt_random_seed(3) };
	struct shunt_steer wanted = draw_record(&random, 1), nothing = { 0 };
	struct shunt_steer_nic on = SHUNT_STEER_NIC_NONE;
	struct shunt_ntuple theirs = { .family = 4, .queue = 7, .location = 15 };

	(void)ctx;
	assert_int_equal(shunt_steer_nic_open(&on, if_nametoindex(NIC), NULL), 0);
	assert_int_equal(shunt_steer_nic_place(&on, &wanted, &nothing, NULL), 0);
	assert_int_equal(shunt_steer_nic_insert(&on, &wanted, NULL, NULL), 0);
	assert_int_equal(wanted.filter[0].is.location, 15);
	assert_int_equal(shunt_ntuple_insert(NIC, &theirs), 0); /* over ours */
	assert_int_equal(shunt_steer_nic_delete(&on, &wanted, &nothing, NULL), 0);
	assert_true(nic.used[15]);
	/* and a repair finds another place */
	assert_int_equal(shunt_steer_nic_place(&on, &wanted, &wanted, NULL), 0);
	assert_int_equal(shunt_steer_nic_insert(&on, &wanted, NULL, NULL), 0);
	assert_int_equal(wanted.filter[0].is.location, 14);
	assert_int_equal(count(), 2);
	shunt_steer_free(&wanted);
	shunt_steer_nic_close(&on);
}

/* What a command would warn of, in one string. */
static const char *warned(struct shunt_steer *wanted, const struct shunt_steer *old)
{
	struct shunt_steer_nic on = SHUNT_STEER_NIC_NONE;
	static char text[2048];
	cJSON *notes = cJSON_CreateObject(), *one;

	assert_int_equal(shunt_steer_nic_open(&on, if_nametoindex(NIC), notes), 0);
	assert_int_equal(shunt_steer_nic_place(&on, wanted, old, NULL), 0);
	assert_int_equal(shunt_steer_nic_insert(&on, wanted, NULL, NULL), 0);
	text[0] = 0;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(notes, "warnings"))
		strncat(text, one->valuestring, sizeof(text) - strlen(text) - 1);
	cJSON_Delete(notes);
	shunt_steer_nic_close(&on);
	return text;
}

static void what_is_not_steered_is_said(void **ctx)
{
	struct shunt_random random = { shunt_random_seed(4) };
	struct shunt_steer wanted = draw_record(&random, 3), nothing = { 0 };
	struct shunt_ntuple theirs = wanted.filter[0].is;

	(void)ctx;
	nic.size = 2;
	assert_non_null(strstr(warned(&wanted, &nothing), "full, all 2 places"));
	assert_int_equal(wanted.filters, 2);
	shunt_steer_free(&wanted);

	new_nic(NULL);
	theirs.location = 3;
	theirs.queue ^= 1;
	assert_int_equal(shunt_ntuple_insert(NIC, &theirs), 0);
	random.state = shunt_random_seed(4);
	wanted = draw_record(&random, 3);
	assert_non_null(
		strstr(warned(&wanted, &nothing), "that is not Shunt's, at place 3"));
	assert_int_equal(wanted.filters, 2);

	new_nic(NULL);
	nic.off = true;
	assert_non_null(strstr(warned(&wanted, &nothing), "takes no filter for"));
	assert_int_equal(wanted.filters, 0);
	shunt_steer_free(&wanted);

	new_nic(NULL);
	nic.size = 0;
	wanted = draw_record(&random, 3);
	assert_non_null(strstr(warned(&wanted, &nothing), "has no table of filters"));
	assert_int_equal(wanted.filters, 0);
	shunt_steer_free(&wanted);
}

/* --- masks of CPUs ----------------------------------------------------------- */

static void masks_are_compared_by_their_cpus(void **ctx)
{
	const uint64_t cpus[SHUNT_CPU_WORDS] = { 1ull << 33 | 5, 0, 0, 1ull << 63 };
	const uint64_t zero[SHUNT_CPU_WORDS] = { 2 };
	char text[SHUNT_CPUS_TEXT];

	(void)ctx;
	shunt_cpus_format(cpus, text);
	assert_string_equal(
		text, "80000000,00000000,00000000,00000000,00000000,00000000,00000002,"
		      "00000005");
	shunt_cpus_format(zero, text);
	assert_string_equal(text, "2");
	assert_true(shunt_cpus_same("00000000,00000003", "3"));
	assert_true(shunt_cpus_same("0", "00,000"));
	assert_false(shunt_cpus_same("1,00000000", "1"));
	assert_false(shunt_cpus_same("30", "3"));
	assert_true(shunt_cpus_any("0,00000010"));
	assert_false(shunt_cpus_any("0000,00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_become_these_filters_or_this_reason),
		cmocka_unit_test_setup(the_table_is_a_list_of_what_was_put_in, new_nic),
		cmocka_unit_test_setup(what_a_filter_cannot_say_is_somebody_elses,
				       new_nic),
		cmocka_unit_test_setup(a_filter_that_the_nic_makes_coarser_is_taken_out,
				       new_nic),
		cmocka_unit_test_setup(others_rules_stay_whatever_fails, new_nic),
		cmocka_unit_test_setup(
			a_rule_that_somebody_has_put_into_our_place_stays, new_nic),
		cmocka_unit_test_setup(what_is_not_steered_is_said, new_nic),
		cmocka_unit_test(masks_are_compared_by_their_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
