/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports that a policy feeds: AF_XDP sockets, and ring buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/shunt.h"
#include "tests/io/suite/rows.h"

#define CONSUMER "t"

/* A stall is not what these tests are about: a machine that is busy has time. */
#define HEARTBEAT "\"heartbeat\": \"10s\""
#define HEAD "{ \"schema\": \"shunt.policy/1\", \"default\": \"drop\", "
#define REDIRECT                                                                       \
	"\"rules\": [{ \"name\": \"all\", \"match\": { \"eth_type\": \"0x88b5\" }, "   \
	"\"action\": { \"redirect\": { \"consumer\": \"" CONSUMER "\" } } }] }"
#define SOCKETS                                                                        \
	HEAD "\"consumers\": { \"" CONSUMER "\": { \"kind\": \"xsk\", " HEARTBEAT      \
	     " } }, " REDIRECT
#define RING                                                                           \
	HEAD "\"consumers\": { \"" CONSUMER                                            \
	     "\": { \"kind\": \"ring\", \"bytes\": 262144, " HEARTBEAT                 \
	     " } }, " REDIRECT
#define COPIES                                                                         \
	HEAD "\"ring\": { \"bytes\": 262144 }, \"rules\": [{ \"name\": \"all\", "      \
	     "\"match\": { \"eth_type\": \"0x88b5\" }, \"action\": \"drop\", "         \
	     "\"mirror\": \"ring\" }] }"

static int attach(struct shunt_policy *policy, const char *hook, struct shunt_err *err)
{
	const struct shunt_attach_opts opts = { .sz = sizeof(opts),
						.hook = &hook,
						.hooks = 1 };
	cJSON *reply = NULL;
	int ret = shunt_attach(WIRE_NEAR, policy, &opts, &reply, err);

	cJSON_Delete(reply);
	return ret;
}

static bool begin(struct rig *rig, const char *text, const char *hook)
{
	struct shunt_policy *policy = NULL;
	struct shunt_err err = { "" };
	cJSON *reply = NULL;
	char path[64];
	FILE *file;
	int ret;

	wire_open(&rig->wire, rig->mtu);
	snprintf(path, sizeof(path), "/tmp/shunt-io-%d.json", (int)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	ret = shunt_check(path, &policy, &reply, &err);
	unlink(path);
	if (!ret)
		ret = attach(policy, hook, &err);
	else if (reply)
		snprintf(err.message, sizeof(err.message), "%s",
			 cJSON_PrintUnformatted(reply));
	cJSON_Delete(reply);
	shunt_policy_free(policy);
	snprintf(rig->why, sizeof(rig->why), "%.255s", err.message);
	return !ret;
}

static bool begin_sockets(struct rig *rig)
{
	return begin(rig, SOCKETS, "xdp");
}

static bool begin_ring(struct rig *rig)
{
	return begin(rig, RING, "tc-ingress");
}

static bool begin_copies(struct rig *rig)
{
	return begin(rig, COPIES, "xdp");
}

static void end(struct rig *rig)
{
	struct shunt_err err = { "" };
	cJSON *reply = NULL;

	if (shunt_detach(WIRE_NEAR, NULL, &reply, &err)) {
		/* the interface went first */
		cJSON_Delete(reply);
		if (shunt_detach_stale(&reply, &err))
			print_error("%s\n", err.message);
	}
	cJSON_Delete(reply);
	wire_close(&rig->wire);
}

static void sockets_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	(void)rig;
	snprintf(text, room, "af_xdp:%s%s%s", WIRE_NEAR,
		 way & SHUNT_PORT_RX ? ",consumer=" CONSUMER : ",rx=off",
		 way & SHUNT_PORT_TX ? "" : ",tx=off");
}

static void ring_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	(void)rig;
	(void)way;
	snprintf(text, room, "ringbuf:%s,consumer=%s", WIRE_NEAR, CONSUMER);
}

static void copies_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	(void)rig;
	(void)way;
	snprintf(text, room, "ringbuf:%s,copies", WIRE_NEAR);
}

static void zero_copy_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	sockets_spec(rig, way, text, room);
	strncat(text, ",mode=zero-copy", room - strlen(text) - 1);
}

static const struct rig_not none[] = { { NULL } };

static const struct rig_not nics_not[] = {
	{ "an interface that vanishes is told", "nobody deletes a NIC" },
	{ "jumbo frames arrive", "packets in parts take Linux 6.6, and no zero copy" },
	{ "jumbo frames leave", "the same" },
	{ "what the reader keeps is missing, and counted",
	  "a guest's wire is another process: frames still come as it reads" },
	{ NULL },
};

/* What finds a consumer's ring full goes the policy's way: it was never the port's. */
static const struct rig_not ring_not[] = {
	{ "a flood is received or counted", "what finds it full goes the policy's "
					    "if_down way, and is no loss of the port" },
	{ "what the reader keeps is missing, and counted", "as for a flood" },
	{ NULL },
};

const struct rig_row rig_af_xdp = {
	.name = "af_xdp",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_SHARE |
	       SHUNT_PORT_MULTI,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = WIRE_JUMBO + 14,
	.burst = 64,
	.small = ",ring=64,tx-ring=64",
	.bad = { ",ring=0", ",ring=100", ",mode=fast", ",frame-bytes=100" },
	.except = none,
	.begin = begin_sockets,
	.end = end,
	.spec = sockets_spec,
	.offer = rig_wire_offer,
	.collect = rig_wire_collect,
};

/* On a guest's NICs: by the best there is, and by zero copy or not at all. */
#define ON_NICS                                                                        \
	.borrows = true, .shortest = 14, .longest = WIRE_MTU + 14, .burst = 64,        \
	.small = ",ring=64,tx-ring=64", .begin = begin_sockets, .end = end,            \
	.except = nics_not, .offer = rig_wire_offer, .collect = rig_wire_collect

const struct rig_row rig_nics = {
	ON_NICS,
	.name = "af_xdp nics",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_SHARE,
	.bad = { ",ring=0", ",ring=100", ",mode=fast", ",frame-bytes=100" },
	.spec = sockets_spec,
};

const struct rig_row rig_zero_copy = {
	ON_NICS,
	.name = "af_xdp zero-copy",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_SHARE |
	       SHUNT_PORT_ZERO_COPY,
	.bad = { ",ring=0", ",ring=100", ",frame-bytes=100" },
	.spec = zero_copy_spec,
};

const struct rig_row rig_ringbuf = {
	.name = "ringbuf",
	.can = SHUNT_PORT_RX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = WIRE_JUMBO + 14,
	.burst = 64,
	.small = "",
	.bad = { ",copies", ",copies=maybe" },
	.except = ring_not,
	.begin = begin_ring,
	.end = end,
	.spec = ring_spec,
	.offer = rig_wire_offer,
};

const struct rig_row rig_copies = {
	.name = "copies",
	.can = SHUNT_PORT_RX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = WIRE_JUMBO + 14,
	.burst = 64,
	.small = "",
	.bad = { ",consumer=" CONSUMER },
	.except = none,
	.begin = begin_copies,
	.end = end,
	.spec = copies_spec,
	.offer = rig_wire_offer,
};
