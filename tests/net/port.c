/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports by hand, for tests: a command a line on stdin, a JSON object a line on stdout.
 *
 *     open PORT [K]       a port of its own number, from 0 on; on the pool of port K
 *     send K HEX [N]      N times that frame (1), from a pool of ordinary memory
 *     own K HEX [N]       the same, in frames of the port's own pool
 *     all K HEX           the same in every frame that the pool of port K has, once
 *     receive K N [MS]    waits until N frames have come, or the time is over; they are
 *                         given back
 *     hold K N [MS]       the same, but they are kept
 *     release             gives back what is kept
 *     take K N            how many of N empty frames the port's pool has; given back
 *     forward A B N       moves N packets from A to B
 *     nap K               the time that an idle port sleeps, ms; CPU time, us
 *     stats K | describe K | close K
 *
 * A failure is {"error": sentence, "code": -errno}; what waits gives up after 5 s.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/port.h"

#define PORTS 128
#define HELD 16384
#define DEADLINE_NS 20000000000u
#define FRAME_MAX 9000

static struct shunt_port *port[PORTS];
static unsigned int ports;
static struct shunt_frame held[HELD];
static unsigned int helds;
static struct shunt_memory *memory;
static cJSON *reply;
static struct shunt_err err;

static struct shunt_port *port_of(const char *word)
{
	unsigned int n = word ? (unsigned int)atoi(word) : PORTS;

	if (n >= ports || n >= PORTS || !port[n]) {
		fprintf(stderr, "port: there is no port %s\n", word ? word : "?");
		exit(2);
	}
	return port[n];
}

static unsigned int number(const char *word, unsigned int otherwise)
{
	return word ? (unsigned int)atoi(word) : otherwise;
}

/* --- frames ------------------------------------------------------------------------- */

static int do_open(char **word)
{
	struct shunt_port_opts opts = { .sz = sizeof(opts) };

	if (word[2])
		opts.pool = port_of(word[2])->pool;
	cJSON_AddNumberToObject(reply, "port", ports);
	return shunt_port_open(&port[ports++], word[1], &opts, &err);
}

static uint32_t from_hex(const char *hex, uint8_t *to)
{
	uint32_t n;

	for (n = 0; n < FRAME_MAX && hex[2 * n] && hex[2 * n + 1]; n++)
		sscanf(hex + 2 * n, "%2hhx", &to[n]);
	return n;
}

static int send_from(struct shunt_port *to, struct shunt_pool *pool, char **word)
{
	uint64_t start = shunt_now_ns();
	unsigned int i, n, times = number(word[3], 1), sent = 0;
	struct shunt_frame frames[64];
	uint8_t bytes[FRAME_MAX];
	uint32_t len = from_hex(word[2], bytes);
	int ret = 0;

	for (i = 0; i < times && !ret && shunt_now_ns() - start < DEADLINE_NS;) {
		unsigned int taken = 0;

		n = shunt_packet_fill(pool, bytes, len, frames, 64);
		if (n)
			taken = shunt_port_tx(to, frames, n);
		sent += n && taken == n;
		i += n && taken == n;
		shunt_frames_put(frames + taken, n - taken);
		ret = shunt_port_kick(to, &err);
	}
	for (i = 0; i < 2 && !ret; i++)
		ret = shunt_port_kick(to, &err);
	cJSON_AddNumberToObject(reply, "sent", sent);
	return ret;
}

static int do_send(char **word)
{
	int ret = memory ? 0 : shunt_memory_open(&memory, NULL, &err);

	return ret ? ret : send_from(port_of(word[1]), &memory->pool, word);
}

static int do_own(char **word)
{
	return send_from(port_of(word[1]), port_of(word[1])->pool, word);
}

static int do_all(char **word)
{
	static struct shunt_frame frames[HELD];
	struct shunt_port *to = port_of(word[1]);
	unsigned int n = shunt_pool_get(to->pool, frames, HELD), i;
	uint64_t start = shunt_now_ns();
	uint8_t bytes[FRAME_MAX];
	uint32_t len = from_hex(word[2], bytes);
	int ret = 0;

	for (i = 0; i < n && !ret && shunt_now_ns() - start < DEADLINE_NS;) {
		memcpy(frames[i].data, bytes, len);
		frames[i].len = len;
		i += shunt_port_tx(to, &frames[i], 1);
		ret = shunt_port_kick(to, &err);
	}
	shunt_frames_put(frames + i, n - i);
	cJSON_AddNumberToObject(reply, "sent", i);
	return ret;
}

static void tell_frame(cJSON *list, const struct shunt_frame *frame)
{
	char *hex = calloc(1, 2 * frame->len + 2);
	uint32_t i;

	for (i = 0; i < frame->len; i++)
		sprintf(hex + 2 * i, "%02x", frame->data[i]);
	strcat(hex, frame->flags & SHUNT_FRAME_MORE ? "+" : "");
	cJSON_AddItemToArray(list, cJSON_CreateString(hex));
	free(hex);
}

static int take_in(char **word, bool keep)
{
	struct shunt_port *from = port_of(word[1]);
	unsigned int want = number(word[2], 1), got = 0;
	cJSON *list = cJSON_AddArrayToObject(reply, "frames");
	uint64_t start = shunt_now_ns(),
		 patience = number(word[3], 5000) * UINT64_C(1000000);
	int ret = 0;

	while (got < want && !ret && !from->ended &&
	       shunt_now_ns() - start < patience) {
		struct shunt_frame frames[SHUNT_BURST];
		unsigned int max = want - got < SHUNT_BURST ? want - got : SHUNT_BURST,
			     n = shunt_port_rx(from, frames, max), i;

		for (i = 0; i < n && got + i < 100; i++)
			tell_frame(list, &frames[i]);
		for (i = 0; i < n && keep && helds < HELD; i++)
			held[helds++] = frames[i];
		shunt_frames_put(frames + i, n - i);
		got += n;
		ret = shunt_port_kick(from, &err);
		if (!n && !ret)
			ret = shunt_port_sleep(
				&from, 1, patience < 100000000 ? patience : 100000000);
	}
	cJSON_AddNumberToObject(reply, "received", got);
	return ret;
}

static int do_receive(char **word)
{
	return take_in(word, false);
}

static int do_hold(char **word)
{
	return take_in(word, true);
}

static int do_release(char **word)
{
	(void)word;
	cJSON_AddNumberToObject(reply, "released", helds);
	shunt_frames_put(held, helds);
	helds = 0;
	return 0;
}

static int do_take(char **word)
{
	struct shunt_pool *pool = port_of(word[1])->pool;
	unsigned int n = number(word[2], 1), got;
	_free_ struct shunt_frame *frames = calloc(n, sizeof(*frames));

	got = shunt_pool_get(pool, frames, n);
	shunt_frames_put(frames, got);
	cJSON_AddNumberToObject(reply, "taken", got);
	return 0;
}

static int do_forward(char **word)
{
	struct shunt_port *from = port_of(word[1]), *to = port_of(word[2]);
	unsigned int want = number(word[3], 1), moved = 0;
	uint64_t start = shunt_now_ns();
	int ret = 0;

	while (moved < want && !ret && shunt_now_ns() - start < DEADLINE_NS) {
		struct shunt_frame frames[SHUNT_BURST];
		unsigned int n = shunt_port_rx(from, frames, SHUNT_BURST), at = 0;

		while (at < n && !ret) {
			at += shunt_port_tx(to, frames + at, n - at);
			ret = shunt_port_kick(to, &err);
		}
		moved += n;
	}
	cJSON_AddNumberToObject(reply, "moved", moved);
	return ret;
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* A worker's idle round, again and again for half a second. */
static int do_nap(char **word)
{
	struct shunt_port *from = port_of(word[1]);
	uint64_t start = shunt_now_ns(), naps = 0;
	double before = cpu_us();
	int ret = 0;

	while (!ret && shunt_now_ns() - start < 500000000) {
		struct shunt_frame frames[SHUNT_BURST];

		shunt_frames_put(frames, shunt_port_rx(from, frames, SHUNT_BURST));
		ret = shunt_port_sleep(&from, 1, 500000000);
		naps++;
	}
	cJSON_AddNumberToObject(reply, "naps", (double)naps);
	cJSON_AddNumberToObject(reply, "cpu_us", cpu_us() - before);
	return ret;
}

/* --- what they say ------------------------------------------------------------------- */

static int do_stats(char **word)
{
	struct shunt_port_stats stats;
	int ret = shunt_port_stats(port_of(word[1]), &stats, &err);

#define TELL(name, help) cJSON_AddNumberToObject(reply, #name, (double)stats.name);
	SHUNT_PORT_COUNTERS(TELL)
	return ret;
}

static int do_describe(char **word)
{
	cJSON *json = shunt_port_describe(port_of(word[1]));

	cJSON_AddItemToObject(reply, "describe", json);
	return json ? 0 : -ENOMEM;
}

static int do_close(char **word)
{
	shunt_port_close(port_of(word[1]));
	port[atoi(word[1])] = NULL;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **word);
} commands[] = {
	{ "open", do_open },	   { "send", do_send },	  { "own", do_own },
	{ "receive", do_receive }, { "hold", do_hold },	  { "release", do_release },
	{ "all", do_all },	   { "take", do_take },	  { "forward", do_forward },
	{ "nap", do_nap },	   { "stats", do_stats }, { "describe", do_describe },
	{ "close", do_close },
};

static int run(char *line)
{
	char *word[5] = { 0 };
	size_t i;

	for (i = 0; i < 4 && (word[i] = strtok(i ? NULL : line, " \n")); i++)
		;
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (word[0] && !strcmp(commands[i].name, word[0]))
			return commands[i].run(word);
	fprintf(stderr, "port: there is no command %s\n", word[0] ? word[0] : "");
	exit(2);
}

int main(void)
{
	static char line[4 * FRAME_MAX];

	while (fgets(line, sizeof(line), stdin)) {
		_free_ char *text = NULL;
		int ret;

		err = (struct shunt_err){ 0 };
		reply = cJSON_CreateObject();
		ret = run(line);
		if (ret) {
			cJSON_AddStringToObject(reply, "error", err.message);
			cJSON_AddNumberToObject(reply, "code", ret);
		}
		text = cJSON_PrintUnformatted(reply);
		printf("%s\n", text);
		fflush(stdout);
		cJSON_Delete(reply);
	}
	while (ports--)
		shunt_port_close(port[ports]);
	shunt_memory_close(memory);
	return 0;
}
