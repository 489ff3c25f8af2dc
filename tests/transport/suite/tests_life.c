/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing, refusals, and what a transport tells of itself. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

static uint32_t descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static void opened_again_and_again(struct rig *rig)
{
	uint32_t before = 0, i;

	rig->length = rig_equal;
	rig->base = 100;
	for (i = 0; i < (rig->row->slow ? 3 : 12); i++) {
		rig_begin(rig, "");
		rig_pass(rig, NEAR, 0, 10);
		rig_pass(rig, FAR, 0, 10);
		/* not always in the same order */
		rig_close(rig, i & 1 ? NEAR : FAR);
		rig_close(rig, i & 1 ? FAR : NEAR);
		if (i == 1)
			before = descriptors();
	}
	assert_int_equal(descriptors(), before);
}

/* What was taken is sent as far as that takes no waiting; nothing comes that is half. */
static void closed_with_messages_in_flight(struct rig *rig)
{
	struct shunt_message message;
	uint32_t said, heard = 0, round;

	for (round = 0; round < (rig->row->slow ? 2 : 4); round++) {
		rig->length = round & 1 ? rig_mixed : rig_equal;
		rig->base = 300;
		rig_begin(rig, "");
		for (said = 0; said < rig->row->burst; said++)
			if (rig_offer(rig, NEAR, said) != 1)
				break;
		/* lengths go by the near end, which is about to go */
		rig->length = rig_equal;
		rig_close(rig, NEAR);
		heard = 0;
		while (rig_recv(rig, FAR, &message, 1, 100)) {
			assert_int_equal(message.channel, rig_channel(heard));
			if (!(round & 1))
				rig_check(rig, &message, heard);
			shunt_release(rig->end[FAR].transport, &message, 1);
			heard++;
		}
		assert_in_range(heard, 1, said);
		rig_close(rig, FAR);
	}
}

/* With messages lent, reserved, and not read. */
static void closed_with_buffers_lent(struct rig *rig)
{
	struct shunt_message lent[8], reserved[8];
	unsigned int n;

	rig_begin(rig, "");
	rig_say(rig, NEAR, 0, 32);
	n = rig_recv(rig, FAR, lent, 8, RIG_WAIT_MS);
	assert_in_range(n, 1, 8);
	net_at(NEAR);
	n = shunt_reserve(rig->end[NEAR].transport, reserved, 8);
	assert_in_range(n, 1, 8);
	shunt_release(rig->end[NEAR].transport, reserved, n / 2);
	rig_close(rig, FAR);
	rig_close(rig, NEAR);
	shunt_transport_close(NULL);
}

static void wrong_uris(struct rig *rig)
{
	static const struct {
		const char *uri;
		const char *words;
	} wrong[] = {
		{ "nothing", "nothing" },
		{ "://192.0.2.1:7000", "no scheme" },
		{ "carrier-pigeon://192.0.2.1:7000", "carrier-pigeon" },
		{ "", "scheme" },
	};
	char uri[RIG_URI], bad[128];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		rig_refused(rig, NEAR, wrong[i].uri, 0, wrong[i].words);
	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "colour=blue", uri);
	rig_refused(rig, NEAR, uri, -EINVAL, "colour");
	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "wait=never", uri);
	rig_refused(rig, NEAR, uri, -EINVAL, "never");
	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "buffers=1", uri);
	rig_refused(rig, NEAR, uri, -EINVAL, "buffers");
	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "peers=0", uri);
	rig_refused(rig, NEAR, uri, -EINVAL, "peers");
	snprintf(uri, sizeof(uri), "%s://192.0.2.1:seven", rig->row->scheme);
	rig_refused(rig, NEAR, uri, -EINVAL, "seven");
	for (i = 0; rig->row->bad[i]; i++) {
		rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, rig->row->bad[i], uri);
		snprintf(bad, sizeof(bad), "%.*s", (int)strcspn(rig->row->bad[i], "="),
			 rig->row->bad[i]);
		rig_refused(rig, NEAR, uri, 0, bad);
	}
}

static void foreign_addresses(struct rig *rig)
{
	char uri[RIG_URI];

	rig_uri(rig, NEAR, "198.51.100.7", RIG_PORT, "", uri);
	rig_refused(rig, NEAR, uri, 0, "198.51.100.7");
	rig_uri(rig, NEAR, "[2001:db8:7::1]", RIG_PORT, "", uri);
	rig_refused(rig, NEAR, uri, 0, "2001:db8:7::1");
}

static void taken_addresses(struct rig *rig)
{
	char uri[RIG_URI];

	rig_begin(rig, "");
	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "", uri);
	rig_refused(rig, NEAR, uri, 0, "7000");
	rig_pass(rig, NEAR, 0, 50);
	rig_pass(rig, FAR, 0, 50);
}

static void no_stream_without_a_header(struct rig *rig)
{
	char uri[RIG_URI];

	rig_uri(rig, NEAR, net_address[NEAR], RIG_PORT, "header=off", uri);
	rig_refused(rig, NEAR, uri, -EINVAL, "header");
}

static bool lists(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item,
			   list) if (!strcmp(item->valuestring, name)) return true;
	return false;
}

static void describes_itself(struct rig *rig)
{
	struct shunt_transport *near;
	uint32_t caps;
	cJSON *json;

	rig_open(rig, NEAR, "");
	near = rig->end[NEAR].transport;
	caps = shunt_transport_caps(near);
	if (rig->row->must & ~caps)
		fail_msg("it cannot %#x of %#x", rig->row->must & ~caps,
			 rig->row->must);
	json = shunt_transport_describe(near);
	assert_non_null(json);
	assert_memory_equal(cJSON_GetObjectItem(json, "transport")->valuestring,
			    rig->row->scheme, strlen(rig->row->scheme));
#define SAYS(name, bit, text, help)                                                    \
	assert_int_equal(lists(cJSON_GetObjectItem(json, "capabilities"), text),       \
			 (caps >> bit) & 1);
	SHUNT_TRANSPORT_CAPS(SAYS)
	assert_true(cJSON_GetObjectItem(json, "message_max")->valuedouble ==
		    shunt_transport_message_max(near));
	cJSON_Delete(json);
	assert_string_equal(shunt_transport_address(near), "192.0.2.1:7000");
}

const struct rig_test rig_tests_life[] = {
	{ "it is opened and closed many times, and leaves nothing",
	  opened_again_and_again },
	{ "it is closed with messages in flight", closed_with_messages_in_flight },
	{ "it is closed with buffers lent", closed_with_buffers_lent },
	{ "wrong URIs are refused with a sentence", wrong_uris },
	{ "an address that is not of this machine is refused", foreign_addresses },
	{ "an address that is taken is refused", taken_addresses },
	{ "a stream without a header is refused", no_stream_without_a_header,
	  SHUNT_TRANSPORT_STREAM },
	{ "it says what it can do", describes_itself },
	{ NULL },
};
