/* SPDX-License-Identifier: BSD-2-Clause */
/* ringbuf://: UDP from a program in XDP or TC by a BPF ring buffer, and out by a packet
 * socket. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/inbox.h"
#include "user/io/inbox.h"
#include "user/transport/backends.h"
#include "user/transport/door.h"
#include "user/transport/station.h"

#define NAME 64u

struct values {
	struct shunt_station_values station;
	unsigned int hook; /* 1: tc */
	struct shunt_door_values door;
	char consumer[NAME];
};

struct ringbuf {
	struct shunt_station station;
	struct shunt_inbox_program *program; /* NULL: a policy of the user's feeds it */
};

static const char *const hooks[] = { "xdp", "tc", NULL };

#define AT(member) .offset = offsetof(struct values, member)

static const struct shunt_spec_row option_rows[] = {
	SHUNT_STATION_ROWS,
	{ "hook", SHUNT_SPEC_CHOICE, .choices = hooks, AT(hook), .value = "HOOK",
	  .help = "where our datagrams are taken: xdp (the default), or tc, which "
		  "takes "
		  "Linux 6.6" },
	SHUNT_DOOR_ROWS(struct values),
	{ "consumer", SHUNT_SPEC_TEXT, AT(consumer), .room = NAME, .value = "NAME",
	  .help = "serve this consumer of the interface's own policy, of kind ring, "
		  "which must redirect our datagrams there (default: a program of our "
		  "own takes them)" },
	{ NULL },
};

static const struct values defaults = { .station = SHUNT_STATION_VALUES,
					.door = SHUNT_DOOR_VALUES };

/* --- opening ------------------------------------------------------------------------------- */

static int open_own(struct ringbuf *self, const struct values *values,
		    struct shunt_pool *pool, struct shunt_port **rx,
		    struct shunt_err *err)
{
	struct shunt_station *station = &self->station;
	struct shunt_inbox_program_opts opts = {
		.sz = sizeof(opts),
		.interface = station->link.name,
		.tc = values->hook,
		.mode = shunt_door_mode(&values->door),
		.bytes = (uint32_t)values->door.ring,
	};
	struct shunt_inbox inbox;
	int ret;

	shunt_transport_door(&opts.door, &station->host.local);
	ret = shunt_inbox_program_open(&self->program, &opts, err);
	if (ret)
		return ret;
	inbox.ring_fd = shunt_inbox_program_ring(self->program);
	inbox.loss_fd = shunt_inbox_program_losses(self->program);
	inbox.state = shunt_inbox_program_state(self->program);
	return shunt_inbox_open(rx, station->link.name, &inbox, pool, err);
}

static int open_consumer(const struct shunt_station *station,
			 const struct values *values, struct shunt_pool *pool,
			 struct shunt_port **rx, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts), .pool = pool };
	char text[256];

	snprintf(text, sizeof(text), "ringbuf:%s,consumer=%s", station->link.name,
		 values->consumer);
	return shunt_port_open(rx, text, &opts, err);
}

static int open_ports(struct ringbuf *self, const struct values *values,
		      struct shunt_err *err)
{
	struct shunt_station *station = &self->station;
	struct shunt_port *rx, *tx;
	int ret = shunt_door_check(&values->door, err);

	ret = ret ?: shunt_transport_raw_tx(&tx, station->link.name, err);
	if (ret)
		return ret;
	station->tx = tx; /* closed at the end, whatever comes */
	ret = *values->consumer ? open_consumer(station, values, tx->pool, &rx, err)
				: open_own(self, values, tx->pool, &rx, err);
	return ret ? ret : shunt_station_use(station, rx, tx, err);
}

static int ringbuf_open(struct shunt_transport *transport, const struct shunt_uri *uri,
			const void *options, struct shunt_err *err)
{
	struct ringbuf *self = (struct ringbuf *)transport;
	const struct values *values = options;
	int ret = shunt_station_begin(&self->station, &values->station, false, err);

	(void)uri;
	if (!ret)
		ret = shunt_transport_needs_address(&self->station, err);
	return ret ? ret : open_ports(self, values, err);
}

static void ringbuf_close(struct shunt_transport *transport)
{
	struct ringbuf *self = (struct ringbuf *)transport;

	shunt_station_end(&self->station);
	shunt_inbox_program_close(self->program);
}

static int ringbuf_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct ringbuf *self = (struct ringbuf *)transport;
	int ret = shunt_station_describe(transport, json);

	if (ret || !self->program)
		return ret;
	return cJSON_AddStringToObject(json, "mode",
				       shunt_inbox_program_mode(self->program))
		       ? 0
		       : -ENOMEM;
}

const struct shunt_transport_ops shunt_ringbuf_ops = {
	.scheme = "ringbuf",
	.help = "UDP from XDP or TC by a BPF ring buffer, and out by a packet socket",
	.options = option_rows,
	.options_bytes = sizeof(struct values),
	.defaults = &defaults,
	.bytes = sizeof(struct ringbuf),
	SHUNT_STATION_MOVES,
	.describe = ringbuf_describe,
	.open = ringbuf_open,
	.close = ringbuf_close,
};
