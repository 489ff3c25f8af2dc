/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an AF_XDP port: its options, its consumer, and what was really given. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "loader/queues.h"
#include "user/base/cleanup.h"
#include "user/io/af_xdp_impl.h"

#define TX_SPARE 1024u /* frames that a sender can have in hand beside a full ring */

static const char *const modes[] = { "auto",   "zero-copy", "copy",
				     "native", "generic",   NULL };
static const char *const receives[] = { "auto", "on", "off", NULL };
static const char *const multis[] = { "auto", "on", "off", NULL };

#define AT(field)                                                                      \
	.offset = offsetof(struct shunt_af_xdp_values, field),                         \
	.room = sizeof(((struct shunt_af_xdp_values *)0)->field)

const struct shunt_spec_row shunt_af_xdp_options[] = {
	{ "consumer", SHUNT_SPEC_TEXT, AT(consumer), .value = "NAME",
	  .help = "the consumer of the interface's policy that it serves" },
	{ "xskmap", SHUNT_SPEC_TEXT, AT(xskmap), .value = "PATH",
	  .help = "receive from a program of your own: its pinned XSKMAP, by queue" },
	{ "serve", SHUNT_SPEC_TEXT, AT(serve), .value = "PATH",
	  .help = "without root: be served by `shunt serve`, at its socket" },
	{ "take-over", SHUNT_SPEC_SWITCH, AT(take_over), .value = "on|off",
	  .help = "take over from the process that serves it, if there is one: no "
		  "packet "
		  "is lost" },
	{ "queues", SHUNT_SPEC_QUEUES, AT(queues), .value = "QUEUES",
	  .help = "0, 0-3, 0+2 or all (default: the consumer's; the first one, if it "
		  "only transmits)" },
	{ "rx", SHUNT_SPEC_CHOICE, .choices = receives, AT(rx), .value = "on|off",
	  .help = "receive; off: it transmits only, and needs no policy" },
	{ "tx", SHUNT_SPEC_SWITCH, AT(tx), .value = "on|off",
	  .help = "transmit, on the first of its queues (default: on)" },
	{ "mode", SHUNT_SPEC_CHOICE, .choices = modes, AT(mode), .value = "MODE",
	  .help = "insist on zero-copy, copy, native (copy, native program) or "
		  "generic; "
		  "auto (the default) takes the best that there is" },
	{ "ring", SHUNT_SPEC_NUMBER, 1, SHUNT_XSK_RING_MAX, AT(ring), .value = "PLACES",
	  .help = "packets that may wait in each queue, a power of two (default: "
		  "512)" },
	{ "tx-ring", SHUNT_SPEC_NUMBER, 1, SHUNT_XSK_RING_MAX, AT(tx_ring),
	  .value = "PLACES", .help = "the same for transmission (default: 2048)" },
	{ "multi-buffer", SHUNT_SPEC_CHOICE, .choices = multis, AT(multi),
	  .value = "auto|on|off",
	  .help = "packets of several frames, from Linux 6.6 on (default: if the MTU "
		  "is over a frame)" },
	{ "frames", SHUNT_SPEC_NUMBER, 64, 1u << 20, AT(frames), .value = "N",
	  .help = "frames of its own pool (default: as many as its rings take)" },
	{ "frame-bytes", SHUNT_SPEC_NUMBER, 2048, 65536, AT(frame_bytes),
	  .value = "BYTES",
	  .help = "bytes of a frame, 256 of headroom among them (default: 4096)" },
	{ "huge", SHUNT_SPEC_SWITCH, AT(huge), .value = "on|off",
	  .help = "its own pool in huge pages, where there are any (default: off)" },
	{ "need-wakeup", SHUNT_SPEC_SWITCH, AT(need_wakeup), .value = "on|off",
	  .help = "the kernel says when it wants a system call (default: on)" },
	{ "busy-poll", SHUNT_SPEC_NUMBER, 0, 1000000, AT(busy_poll_us),
	  .value = "MICROSECONDS",
	  .help = "poll the NIC from here; harmful on veth (default: 0, off)" },
	{ "busy-budget", SHUNT_SPEC_NUMBER, 1, 65535, AT(busy_poll_budget),
	  .value = "PACKETS", .help = "of one round of busy polling" },
	{ "tx-budget", SHUNT_SPEC_NUMBER, 32, SHUNT_XSK_RING_MAX, AT(tx_budget),
	  .value = "PACKETS",
	  .help = "packets a system call sends; Linux 6.17 (default: all of them)" },
	{ NULL },
};

/* --- what there is ---------------------------------------------------------------- */

/* How the interface's program runs: SHUNT_AF_XDP_NATIVE, _GENERIC; _COPY: there is none. */
static enum shunt_af_xdp_mode program_mode(const char *interface)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query((int)if_nametoindex(interface), 0, &query))
		return SHUNT_AF_XDP_COPY;
	switch (query.attach_mode) {
	case XDP_ATTACHED_NONE:
		return SHUNT_AF_XDP_COPY;
	case XDP_ATTACHED_SKB:
		return SHUNT_AF_XDP_GENERIC;
	default:
		return SHUNT_AF_XDP_NATIVE;
	}
}

/* On every queue: with a copy on one of them, it is no zero-copy port. */
static bool is_zero_copy(const struct shunt_af_xdp *af)
{
	struct shunt_xsk_facts facts;
	unsigned int i;

	for (i = 0; i < af->lanes; i++) {
		shunt_xsk_facts(af->lane[i].xsk, &facts);
		if (!facts.zero_copy)
			return false;
	}
	return true;
}

const char *shunt_af_xdp_mode(const struct shunt_port *port)
{
	const struct shunt_af_xdp *af = (const struct shunt_af_xdp *)port;

	return modes[is_zero_copy(af) ? SHUNT_AF_XDP_ZERO_COPY
		     : af->receives   ? program_mode(af->interface)
				      : SHUNT_AF_XDP_COPY];
}

/* Native, generic, and zero copy that receives are matters of the program, too. */
static int check_mode(const struct shunt_af_xdp *af,
		      const struct shunt_af_xdp_values *values, struct shunt_err *err)
{
	enum shunt_af_xdp_mode there = program_mode(af->interface);
	const char *name = af->interface, *wanted = modes[values->mode];

	if (values->mode == SHUNT_AF_XDP_AUTO || values->mode == SHUNT_AF_XDP_COPY)
		return 0;
	if (!af->receives) {
		if (values->mode == SHUNT_AF_XDP_ZERO_COPY)
			return 0;
		return shunt_fail(err, -EINVAL,
				  "%s: mode=%s is how packets are received, and rx is "
				  "off: say copy or zero-copy",
				  af->port.name, wanted);
	}
	if (there == SHUNT_AF_XDP_COPY)
		return shunt_fail(err, -ENOENT,
				  "%s: mode=%s, but no XDP program is attached to %s",
				  af->port.name, wanted, name);
	if (there == values->mode ||
	    (there == SHUNT_AF_XDP_NATIVE && values->mode == SHUNT_AF_XDP_ZERO_COPY))
		return 0;
	return shunt_fail(err, -EOPNOTSUPP,
			  "%s: mode=%s, but the XDP program of %s is attached in %s "
			  "mode: `shunt detach %s`, then attach it with --mode %s",
			  af->port.name, wanted, name, modes[there], name,
			  values->mode == SHUNT_AF_XDP_GENERIC ? "generic" : "native");
}

static enum shunt_xsk_bind bind_of(const struct shunt_af_xdp *af, unsigned int mode)
{
	if (mode == SHUNT_AF_XDP_ZERO_COPY)
		return SHUNT_XSK_ZERO_COPY;
	/* a program in generic mode never sees what a zero-copy queue receives */
	if (mode == SHUNT_AF_XDP_AUTO &&
	    !(af->receives && program_mode(af->interface) == SHUNT_AF_XDP_GENERIC))
		return SHUNT_XSK_AUTO;
	return SHUNT_XSK_COPY;
}

/* --- memory and sockets ------------------------------------------------------------- */

static int take_memory(struct shunt_af_xdp *af,
		       const struct shunt_af_xdp_values *values, unsigned int queues,
		       struct shunt_pool *pool, struct shunt_err *err)
{
	const uint64_t wanted =
		(af->receives ? 2 * queues * (values->ring + SHUNT_BURST) : 0) +
		(values->tx ? values->tx_ring : 0) + TX_SPARE;
	const struct shunt_memory_opts opts = {
		.sz = sizeof(opts),
		.frames = (uint32_t)(values->frames		    ? values->frames
				     : wanted > SHUNT_MEMORY_FRAMES ? wanted
								    : 0),
		.frame_bytes = (uint32_t)values->frame_bytes,
		.huge = (int)values->huge,
	};
	int ret;

	af->memory = pool ? shunt_memory_of(pool) : NULL;
	if (!af->memory) { /* a pool of another kind is no UMEM: its frames are copied */
		ret = shunt_memory_open(&af->own, &opts, err);
		if (ret)
			return ret;
		af->memory = af->own;
	}
	af->port.pool = &af->memory->pool;
	return 0;
}

/* Where frames are few, a queue that nothing comes by is not to have them all. */
static uint32_t fair_posts(const struct shunt_af_xdp *af, uint64_t queues)
{
	uint32_t share = af->memory->frames / (uint32_t)__builtin_popcountll(queues);

	return share ? share : 1;
}

static int open_lanes(struct shunt_af_xdp *af, const struct shunt_af_xdp_values *values,
		      uint64_t queues, struct shunt_err *err)
{
	struct shunt_xsk_opts opts = {
		.sz = sizeof(opts),
		.ring = (uint32_t)values->ring,
		.tx_ring = (uint32_t)values->tx_ring,
		.no_rx = !af->receives,
		.no_tx = !values->tx,
		.bind = bind_of(af, values->mode),
		.multi = values->multi,
		.no_need_wakeup = !values->need_wakeup,
		.busy_poll_us = (uint32_t)values->busy_poll_us,
		.busy_poll_budget = (uint32_t)values->busy_poll_budget,
		.tx_budget = (uint32_t)values->tx_budget,
		.posts = fair_posts(af, queues),
	};
	unsigned int queue;
	int ret;

	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
		if (!(queues >> queue & 1))
			continue;
		ret = shunt_xsk_open(&af->lane[af->lanes].xsk, af->memory,
				     af->interface, queue, &opts, &af->port.count, err);
		if (ret)
			return ret;
		af->lanes++;
		opts.no_tx = true;
		if (!af->receives)
			break;
	}
	return 0;
}

static void set_caps(struct shunt_af_xdp *af, bool transmits)
{
	struct shunt_xsk_facts facts;
	unsigned int i;

	af->port.caps = (af->receives ? SHUNT_PORT_RX | SHUNT_PORT_WAIT : 0) |
			(transmits ? SHUNT_PORT_TX | SHUNT_PORT_SHARE : 0) |
			(is_zero_copy(af) ? SHUNT_PORT_ZERO_COPY : 0);
	for (i = 0; i < af->lanes; i++) {
		shunt_xsk_facts(af->lane[i].xsk, &facts);
		if (facts.multi)
			af->port.caps |= SHUNT_PORT_MULTI;
	}
	shunt_xsk_facts(af->lane[0].xsk, &facts);
	af->port.frame_max = transmits ? facts.frame_max : 0;
}

/* --- who feeds it -------------------------------------------------------------------- */

/* A consumer of the policy, or a map of the user's own. */
struct feeder {
	int map_fd;
	uint32_t slot;
	uint64_t queues;
};

static void close_feeder(struct feeder *feeder)
{
	shunt_cleanup_fd(&feeder->map_fd);
}

static int find_consumer(const struct shunt_af_xdp *af, struct feeder *feeder,
			 struct shunt_err *err)
{
	struct shunt_consumer consumer;
	int ret = shunt_consumer_open(af->interface, af->consumer, &consumer, err);

	if (ret)
		return ret;
	feeder->map_fd = consumer.map_fd;
	feeder->slot = consumer.slot;
	feeder->queues = consumer.queues;
	if (feeder->map_fd < 0)
		return shunt_fail(err, -EOPNOTSUPP,
				  "consumer %s of %s is served by a ring buffer: open "
				  "ringbuf:%s,consumer=%s",
				  af->consumer, af->interface, af->interface,
				  af->consumer);
	return 0;
}

static int find_feeder(const struct shunt_af_xdp *af,
		       const struct shunt_af_xdp_values *values, struct feeder *feeder,
		       struct shunt_err *err)
{
	if (*values->consumer && *values->xskmap)
		return shunt_fail(err, -EINVAL,
				  "%s: consumer= and xskmap= both say who feeds it: "
				  "name one",
				  af->port.name);
	if (*values->consumer)
		return find_consumer(af, feeder, err);
	if (!*values->xskmap)
		return 0;
	feeder->map_fd = bpf_obj_get(values->xskmap);
	if (feeder->map_fd < 0)
		return shunt_fail_errno(err, -errno, "%s: open the XSKMAP %s",
					af->port.name, values->xskmap);
	return 0;
}

static int choose_queues(const struct shunt_af_xdp *af,
			 const struct shunt_af_xdp_values *values,
			 const struct feeder *feeder, uint64_t *queues,
			 struct shunt_err *err)
{
	uint64_t there = shunt_queues(af->interface);

	*queues = values->queues ? values->queues : feeder->queues;
	if (!values->queues && !af->receives)
		*queues = 1;
	if (values->queues != UINT64_MAX && values->queues & ~feeder->queues)
		return shunt_fail(
			err, -EINVAL,
			"%s: consumer %s has other queues in the policy of %s",
			af->port.name, af->consumer, af->interface);
	*queues &= feeder->queues;
	/* queues that are named must be there; of all, those that are */
	if (!values->queues || values->queues == UINT64_MAX)
		*queues &= there;
	if (!*queues)
		return shunt_fail(err, -ENOENT,
				  "consumer %s: none of its queues exists on %s",
				  af->consumer, af->interface);
	return 0;
}

static int check_receives(struct shunt_af_xdp *af,
			  const struct shunt_af_xdp_values *values,
			  struct shunt_err *err)
{
	bool fed = *values->consumer || *values->xskmap;

	af->receives = values->rx != SHUNT_AF_XDP_OFF;
	if (!fed && values->rx == SHUNT_AF_XDP_UNSAID)
		return shunt_fail(
			err, -EINVAL,
			"%s: whose packets? consumer=NAME takes those of a "
			"consumer of its policy, xskmap=PATH those of your own "
			"program; rx=off makes it transmit only",
			af->port.name);
	if (fed && !af->receives)
		return shunt_fail(err, -EINVAL,
				  "%s: rx=off, but %s= says that it is to receive",
				  af->port.name,
				  *values->consumer ? "consumer" : "xskmap");
	return 0;
}

/* Whose packets, and how they come, is for the one who serves to say. */
static int open_served(struct shunt_af_xdp *af,
		       const struct shunt_af_xdp_values *values, struct shunt_err *err)
{
	if (*values->consumer || *values->xskmap || values->take_over ||
	    values->rx != SHUNT_AF_XDP_UNSAID || values->mode != SHUNT_AF_XDP_AUTO ||
	    values->busy_poll_us || values->huge)
		return shunt_fail(
			err, -EINVAL,
			"%s: serve= goes with queues, ring, tx, tx-ring, "
			"frames, frame-bytes and multi-buffer alone: the rest "
			"is for `shunt serve` to say",
			af->port.name);
	return shunt_serve_join(af, values, err);
}

/* -ENOENT: there is nobody to take over from. */
static int take_over(struct shunt_af_xdp *af, uint64_t queues,
		     const struct feeder *feeder, struct shunt_err *err)
{
	if (!af->seats)
		return shunt_fail(err, -EINVAL,
				  "%s: take-over=on, from whom? consumer=NAME says",
				  af->port.name);
	return shunt_handover_take(af, queues, feeder->map_fd, af->seats, err);
}

/* --- opening -------------------------------------------------------------------------- */

static int open_parts(struct shunt_af_xdp *af, const struct shunt_af_xdp_values *values,
		      struct shunt_pool *pool, struct shunt_err *err)
{
	struct feeder feeder
		__attribute__((cleanup(close_feeder))) = { .map_fd = -1,
							   .queues = UINT64_MAX };
	uint64_t queues;
	int ret;

	if (*values->serve)
		return open_served(af, values, err);
	ret = check_receives(af, values, err);

	if (!ret)
		ret = find_feeder(af, values, &feeder, err);
	if (!ret)
		ret = check_mode(af, values, err);
	if (!ret)
		ret = choose_queues(af, values, &feeder, &queues, err);
	if (!ret && *af->consumer)
		ret = shunt_seats_open(&af->seats, af->interface, feeder.slot, err);
	if (!ret)
		ret = shunt_heart_open(&af->heart, af->seats, NULL, 0, err);
	if (!ret && values->take_over) {
		ret = take_over(af, queues, &feeder, err);
		if (ret != -ENOENT)
			return ret;
		ret = 0;
	}
	if (!ret)
		ret = take_memory(af, values,
				  (unsigned int)__builtin_popcountll(queues), pool,
				  err);
	if (!ret)
		ret = open_lanes(af, values, queues, err);
	if (!ret && feeder.map_fd >= 0)
		ret = shunt_af_xdp_feed(&af->port, feeder.map_fd, feeder.slot,
					af->seats, err);
	if (!ret)
		set_caps(af, values->tx);
	return ret;
}

int shunt_af_xdp_open(struct shunt_port **port, const struct shunt_spec *spec,
		      const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct shunt_af_xdp_values values = { .ring = SHUNT_XSK_RING,
					      .tx_ring = SHUNT_XSK_TX_RING,
					      .tx = 1,
					      .need_wakeup = 1 };
	struct shunt_af_xdp *af;
	int ret = shunt_spec_read(spec, shunt_af_xdp_options, &values, err);

	*port = NULL;
	if (ret)
		return ret;
	if (strlen(spec->device) >= IF_NAMESIZE)
		return shunt_fail(err, -EINVAL, "%s: no interface has such a long name",
				  spec->device);
	af = calloc(1, sizeof(*af));
	if (!af)
		return shunt_fail_errno(err, -ENOMEM, "open %s", spec->device);
	shunt_port_init(&af->port, &shunt_af_xdp_ops, spec);
	af->host = (struct shunt_handover_host)SHUNT_HANDOVER_HOST;
	af->served = (struct shunt_served)SHUNT_SERVED_NONE;
	strcpy(af->interface, spec->device);
	strcpy(af->consumer, values.consumer);
	ret = open_parts(af, &values, opts->pool, err);
	if (ret)
		shunt_af_xdp_close(&af->port);
	else
		*port = &af->port;
	return ret;
}

/* --- what was really given --------------------------------------------------------------- */

static bool add_queue(cJSON *list, const struct shunt_xsk *xsk)
{
	struct shunt_xsk_facts facts;
	cJSON *item = cJSON_CreateObject();

	shunt_xsk_facts(xsk, &facts);
	if (!cJSON_AddItemToArray(list, item))
		return false;
	if (facts.zero_copy_errno &&
	    !cJSON_AddStringToObject(item, "zero_copy_refused",
				     strerror(facts.zero_copy_errno)))
		return false;
	return cJSON_AddNumberToObject(item, "queue", facts.queue) &&
	       cJSON_AddNumberToObject(item, "ring", facts.ring) &&
	       cJSON_AddNumberToObject(item, "tx_ring", facts.tx_ring) &&
	       cJSON_AddBoolToObject(item, "zero_copy", facts.zero_copy) &&
	       cJSON_AddBoolToObject(item, "multi_buffer", facts.multi) &&
	       cJSON_AddBoolToObject(item, "shared_queue", facts.shares_queue);
}

static bool add_memory(cJSON *json, const struct shunt_af_xdp *af,
		       const struct shunt_xsk_facts *facts)
{
	cJSON *item = cJSON_AddObjectToObject(json, "memory");

	return item && cJSON_AddNumberToObject(item, "frames", af->memory->frames) &&
	       cJSON_AddNumberToObject(item, "frame_bytes", af->memory->frame_bytes) &&
	       cJSON_AddBoolToObject(item, "huge_pages", af->memory->huge) &&
	       cJSON_AddBoolToObject(item, "unaligned", facts->unaligned) &&
	       cJSON_AddBoolToObject(item, "shared", !af->own);
}

int shunt_af_xdp_describe(struct shunt_port *port, cJSON *json)
{
	const struct shunt_af_xdp *af = (const struct shunt_af_xdp *)port;
	struct shunt_xsk_facts facts;
	cJSON *queues;
	unsigned int i;

	shunt_xsk_facts(af->lane[0].xsk, &facts);
	if (!cJSON_AddStringToObject(json, "mode", shunt_af_xdp_mode(port)) ||
	    (*af->consumer &&
	     !cJSON_AddStringToObject(json, "consumer", af->consumer)) ||
	    !cJSON_AddBoolToObject(json, "need_wakeup", facts.need_wakeup) ||
	    !cJSON_AddNumberToObject(json, "busy_poll_us", facts.busy_poll_us) ||
	    !cJSON_AddNumberToObject(json, "tx_budget", facts.tx_budget) ||
	    !add_memory(json, af, &facts))
		return -ENOMEM;
	queues = cJSON_AddArrayToObject(json, "queues");
	for (i = 0; queues && i < af->lanes; i++)
		if (!add_queue(queues, af->lane[i].xsk))
			return -ENOMEM;
	return queues ? 0 : -ENOMEM;
}
