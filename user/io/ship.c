/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/ship.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "user/io/plugin.h"

#define AT(field) .offset = offsetof(struct shunt_ship_options, field)

static const char *const full_words[] = { "wait", "drop", NULL };
static const char *const lost_words[] = { "again", "end", NULL };

const struct shunt_spec_row shunt_ship_rows[] = {
	{ "listen", SHUNT_SPEC_SWITCH, AT(listen), .value = "on|off",
	  .help = "receive: the ring is here, and one sender at a time may connect" },
	{ "full", SHUNT_SPEC_CHOICE, .choices = full_words, AT(full),
	  .value = "wait|drop",
	  .help = "sender: where the far ring is full, or nobody has it, wait (the "
		  "default) or throw away and count" },
	{ "lost", SHUNT_SPEC_CHOICE, .choices = lost_words, AT(lost),
	  .value = "again|end",
	  .help = "sender: when the receiver is gone, connect again until it is back "
		  "(the default), or end with an error" },
	{ "from", SHUNT_SPEC_TEXT, AT(from), .room = SHUNT_SHIP_FROM,
	  .value = "ADDRESS",
	  .help = "sender: the address of ours to connect from (default: by routes)" },
	{ "ring", SHUNT_SPEC_NUMBER, SHUNT_SHIP_RING_MIN, SHUNT_SHIP_RING_MAX, AT(ring),
	  .value = "BYTES",
	  .help = "receiver: of the ring, a power of two (default: 8M)" },
	{ "once", SHUNT_SPEC_SWITCH, AT(once), .value = "on|off",
	  .help = "receiver: ends when its first sender has gone" },
	{ "spin", SHUNT_SPEC_SWITCH, AT(spin), .value = "on|off",
	  .help = "receiver: its reader never sleeps, so that the sender need not "
		  "look whether it does" },
	{ NULL },
};

/* The address that a connection is made from has no port of ours to name. */
static int read_from(struct shunt_ship_open *open, struct shunt_err *err)
{
	const char *from = open->options.from;
	char text[SHUNT_SHIP_FROM + 8];
	int ret;

	if (!*from)
		return 0;
	snprintf(text, sizeof(text), strchr(from, ':') ? "[%s]:0" : "%s:0", from);
	ret = shunt_endpoint_parse(&open->from, text, err);
	return ret ? shunt_fail_in(err, ret, "from=%s: ", from) : 0;
}

static int check(const struct shunt_ship_open *open, struct shunt_err *err)
{
	const struct shunt_ship_options *options = &open->options;

	if (options->ring & (options->ring - 1))
		return shunt_fail(err, -EINVAL, "ring=%llu: it is a power of two",
				  (unsigned long long)options->ring);
	if (!open->at.port && !options->listen)
		return shunt_fail(err, -EINVAL,
				  "at which port does the receiver "
				  "listen? ADDRESS:PORT says");
	if (shunt_endpoint_is_any(&open->at))
		return shunt_fail(
			err, -EINVAL,
			"name an address of the interface that the RDMA device "
			"is on: any address is none of a device's");
	return 0;
}

int shunt_ship_open_by(struct shunt_port **port, const struct shunt_spec *spec,
		       const struct shunt_port_opts *opts,
		       const struct shunt_ship_wire_ops *wire, struct shunt_err *err)
{
	struct shunt_ship_open open = { .spec = spec,
					.options = { .ring = SHUNT_SHIP_RING },
					.pool = opts->pool,
					.wire = wire };
	int ret = shunt_spec_read(spec, shunt_ship_rows, &open.options, err);

	if (ret)
		return ret;
	ret = shunt_endpoint_parse(&open.at, spec->device, err);
	if (!ret)
		ret = read_from(&open, err);
	if (!ret)
		ret = check(&open, err);
	if (!ret)
		ret = open.options.listen ? shunt_ship_receive_open(port, &open, err)
					  : shunt_ship_send_open(port, &open, err);
	return ret ? shunt_fail_in(err, ret, "port %s:%s: ", spec->scheme, spec->device)
		   : 0;
}

static int open_by_plugin(struct shunt_port **port, const struct shunt_spec *spec,
			  const struct shunt_port_opts *opts, struct shunt_err *err)
{
	static const struct shunt_plugin_kind wires = SHUNT_PLUGIN_WIRES;
	const struct shunt_ship_wire_ops *wire;
	char room[512];
	const void *vtable;
	const char *why;
	int ret = shunt_plugin_open(&vtable, &wires, "ship",
				    "librdmacm-dev and libibverbs-dev", err);

	if (ret)
		return ret;
	wire = vtable;
	why = wire->absent(room, sizeof(room));
	if (why)
		return shunt_fail(err, -EPROTONOSUPPORT, "port %s:%s: %s", spec->scheme,
				  spec->device, why);
	return shunt_ship_open_by(port, spec, opts, wire, err);
}

const struct shunt_port_ops shunt_ship_port_ops = {
	SHUNT_SHIP_ROW,
	.open = open_by_plugin,
};
