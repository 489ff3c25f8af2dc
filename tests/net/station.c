/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transport by hand, for tests: a JSON object a line on stdout.
 *
 *     station echo URI    answers everything; {"address": …} when it is there, and after
 *                         each line of stdin what it tells of itself; its end is stdin's
 *     station talk URI    a line of stdin is "ADDRESS HEX": sends it, and waits 5 s for
 *                         an answer: {"from": …, "bytes": HEX}; "?" as above
 *
 * A failure is {"error": sentence}.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "user/base/clock.h"
#include "user/transport/transport.h"

#define DEADLINE_NS UINT64_C(20000000000)
#define LINE 20000
#define TURN_NS UINT64_C(20000000)

static struct shunt_transport *transport;
static struct shunt_err err;

static void say(cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	puts(text);
	fflush(stdout);
	free(text);
	cJSON_Delete(json);
}

static void say_error(void)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "error", err.message);
	say(json);
}

static void say_self(void)
{
	cJSON *json = shunt_transport_describe(transport), *counts;
	struct shunt_transport_stats stats;

	if (shunt_transport_stats(transport, &stats, &err)) {
		say_error();
		return;
	}
	counts = cJSON_AddObjectToObject(json, "counts");
#define ADD(name, help) cJSON_AddNumberToObject(counts, #name, (double)stats.name);
	SHUNT_TRANSPORT_COUNTERS(ADD)
	say(json);
}

/* --- echo ---------------------------------------------------------------------------- */

static int answer_all(void)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(transport, messages, SHUNT_BURST);
	int sent = n ? shunt_submit(transport, messages, n) : 0;

	if (sent < 0)
		sent = 0;
	shunt_release(transport, messages + sent, n - (unsigned int)sent);
	return (int)n;
}

static int echo(void)
{
	char line[16];
	ssize_t got;

	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	say_self();
	for (;;) {
		if (shunt_transport_poll(transport, TURN_NS, &err) < 0) {
			say_error();
			return 1;
		}
		while (answer_all())
			;
		got = read(STDIN_FILENO, line, sizeof(line));
		if (!got)
			return 0;
		if (got > 0)
			say_self();
	}
}

/* --- talk ---------------------------------------------------------------------------- */

static void say_answer(void)
{
	uint64_t end_ns = shunt_now_ns() + DEADLINE_NS;
	cJSON *json = cJSON_CreateObject();
	struct shunt_message message;
	char hex[LINE] = "";
	uint32_t i;

	while (!shunt_recv(transport, &message, 1)) {
		if (shunt_transport_poll(transport, TURN_NS, &err) < 0 ||
		    shunt_now_ns() > end_ns) {
			cJSON_AddStringToObject(json, "error", "no answer");
			say(json);
			return;
		}
	}
	for (i = 0; i < message.frame.len; i++)
		sprintf(hex + 2 * (size_t)i, "%02x", message.frame.data[i]);
	cJSON_AddStringToObject(json, "from",
				shunt_peer_address(transport, message.peer));
	cJSON_AddStringToObject(json, "bytes", hex);
	shunt_release(transport, &message, 1);
	say(json);
}

static int talk(void)
{
	static char line[LINE];

	say_self();
	while (fgets(line, sizeof(line), stdin)) {
		uint8_t bytes[LINE / 2];
		char *hex = strchr(line, ' ');
		unsigned int value;
		shunt_peer peer;
		size_t n;

		if (!hex) {
			if (shunt_transport_poll(transport, TURN_NS, &err) < 0)
				say_error();
			else
				say_self();
			continue;
		}
		*hex++ = '\0';
		for (n = 0; sscanf(hex + 2 * n, "%2x", &value) == 1; n++)
			bytes[n] = (uint8_t)value;
		if (shunt_peer_open(transport, &peer, line, &err)) {
			say_error();
			continue;
		}
		if (shunt_send(transport, peer, 0, bytes, n) != 1)
			return 3;
		say_answer();
	}
	return 0;
}

int main(int argc, char **argv)
{
	int code;

	libbpf_set_print(NULL);
	if (argc != 3)
		return 2;
	if (shunt_transport_open(&transport, argv[2], &err)) {
		say_error();
		return 1;
	}
	code = strcmp(argv[1], "echo") ? talk() : echo();
	shunt_transport_close(transport);
	return code;
}
