/* SPDX-License-Identifier: BSD-2-Clause */
/* xdp://: a program answers where packets come in; what it leaves comes by a ring buffer. */
#include <errno.h>
#include <stdio.h>

#include "loader/kv.h"
#include "loader/kv_file.h"
#include "user/base/json.h"
#include "user/io/inbox.h"
#include "user/transport/backends.h"
#include "user/transport/door.h"
#include "user/transport/station.h"

#define PATH 256u

struct values {
	struct shunt_station_values station;
	unsigned int all; /* answer=all */
	unsigned int miss;
	struct shunt_door_values door;
	char file[PATH];
};

struct xdp {
	struct shunt_station station;
	struct shunt_kv *kv;
	struct shunt_err note; /* what keeps answers from arriving; or empty */
};

static const char *const answers[] = { "kv", "all", NULL };

#define AT(member) .offset = offsetof(struct values, member)

static const struct shunt_spec_row option_rows[] = {
	SHUNT_STATION_ROWS,
	{ "answer", SHUNT_SPEC_CHOICE, .choices = answers, AT(all), .value = "WHAT",
	  .help = "kv (the default): questions of `shunt run kv`; all: every message, "
		  "sent back as it is" },
	{ "miss", SHUNT_SPEC_SWITCH, AT(miss), .value = "on|off",
	  .help = "answer for keys that there are not, too (default: off, such "
		  "questions are received)" },
	{ "file", SHUNT_SPEC_TEXT, AT(file), .room = PATH, .value = "FILE",
	  .help = "keys and values, as of `shunt run kv --file`" },
	SHUNT_DOOR_ROWS(struct values),
	{ NULL },
};

static const struct values defaults = { .station = SHUNT_STATION_VALUES,
					.door = SHUNT_DOOR_VALUES };

/* --- opening ------------------------------------------------------------------------------- */

/* To whom it answers: messages with a header, and terminals as well. */
static uint32_t modes_of(const struct shunt_transport *transport,
			 const struct values *values)
{
	uint32_t bits = SHUNT_KV_WITH_INBOX;

	bits |= transport->options.header ? SHUNT_KV_WITH_HEADER : SHUNT_KV_WITH_BARE;
	if (values->all)
		return bits | SHUNT_KV_WITH_ALL;
	bits |= SHUNT_KV_WITH_BARE;
	return values->miss ? bits | SHUNT_KV_WITH_MISS : bits;
}

static int open_kv(struct xdp *self, const struct values *values, struct shunt_err *err)
{
	struct shunt_station *station = &self->station;
	struct shunt_kv_opts opts = {
		.sz = sizeof(opts),
		.interface = station->link.name,
		.mode = shunt_door_mode(&values->door),
		.modes = modes_of(&station->transport, values),
		.inbox_bytes = (uint32_t)values->door.ring,
	};
	int ret = shunt_door_check(&values->door, err);

	if (ret)
		return ret;
	shunt_transport_door(&opts.door, &station->host.local);
	ret = shunt_kv_open(&self->kv, &opts, &self->note, err);
	if (!ret && *values->file)
		ret = shunt_kv_file(self->kv, values->file, err);
	return ret;
}

static int open_ports(struct xdp *self, struct shunt_err *err)
{
	struct shunt_station *station = &self->station;
	const struct shunt_inbox inbox = { .ring_fd = shunt_kv_inbox(self->kv),
					   .loss_fd = shunt_kv_losses(self->kv),
					   .state = shunt_kv_inbox_state(self->kv) };
	struct shunt_port *rx, *tx;
	struct shunt_err slow;
	int ret = shunt_transport_raw_tx(&tx, station->link.name, err);

	if (ret)
		return ret;
	station->tx = tx; /* closed at the end, whatever comes */
	ret = shunt_inbox_open(&rx, station->link.name, &inbox, tx->pool, err);
	if (!ret)
		ret = shunt_station_use(station, rx, tx, err);
	station->transport.caps |= SHUNT_TRANSPORT_ANSWERS;
	return ret ? ret : shunt_kv_attach(self->kv, &slow, err);
}

static int xdp_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		    const void *options, struct shunt_err *err)
{
	struct xdp *self = (struct xdp *)transport;
	const struct values *values = options;
	int ret = shunt_station_begin(&self->station, &values->station, false, err);

	(void)uri;
	if (!ret)
		ret = shunt_transport_needs_address(&self->station, err);
	if (!ret)
		ret = open_kv(self, values, err);
	return ret ? ret : open_ports(self, err);
}

static void xdp_close(struct shunt_transport *transport)
{
	struct xdp *self = (struct xdp *)transport;

	shunt_station_end(&self->station);
	shunt_kv_close(self->kv);
}

/* --- what it tells ------------------------------------------------------------------------- */

static int xdp_describe(struct shunt_transport *transport, cJSON *json)
{
	static const char *const names[] = {
#define X(id, value, name, up, help) [value] = name,
		SHUNT_KV_RESULTS(X)
#undef X
	};
	const struct xdp *self = (struct xdp *)transport;
	uint64_t count[SHUNT_KV_RESULT_MAX];
	int ret = shunt_station_describe(transport, json);
	cJSON *results = ret ? NULL : cJSON_AddObjectToObject(json, "results");
	size_t i;

	if (!results || shunt_kv_counts(self->kv, count, NULL) ||
	    !cJSON_AddStringToObject(json, "mode", shunt_kv_mode(self->kv)) ||
	    (*self->note.message &&
	     !cJSON_AddStringToObject(json, "warning", self->note.message)))
		return -ENOMEM;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		shunt_json_add_u64(results, names[i], count[i]);
	return 0;
}

const struct shunt_transport_ops shunt_xdp_ops = {
	.scheme = "xdp",
	.help = "UDP that a program in XDP answers; what it leaves comes by a BPF ring "
		"buffer",
	.options = option_rows,
	.options_bytes = sizeof(struct values),
	.defaults = &defaults,
	.bytes = sizeof(struct xdp),
	SHUNT_STATION_MOVES,
	.describe = xdp_describe,
	.open = xdp_open,
	.close = xdp_close,
};
