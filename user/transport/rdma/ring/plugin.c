/* SPDX-License-Identifier: BSD-2-Clause */
/* The vtable that ship: ports are given. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/io/plugin.h"
#include "user/transport/rdma/device.h"
#include "user/transport/rdma/ring/ring.h"

static void wire_close(struct shunt_ship_wire *wire)
{
	shunt_ship_leave(wire);
	shunt_ship_device_free(wire);
	if (wire->channel)
		rdma_destroy_event_channel(wire->channel);
	free(wire);
}

static int wire_open(struct shunt_ship_wire **out,
		     const struct shunt_ship_wire_opts *opts, struct shunt_err *err)
{
	struct shunt_ship_wire *wire = calloc(1, sizeof(*wire));
	int ret;

	*out = NULL;
	if (!wire)
		return shunt_fail_errno(err, -ENOMEM, "use an RDMA device");
	wire->opts = *opts;
	ret = shunt_ship_listen(wire, err);
	if (ret) {
		wire_close(wire);
		return ret;
	}
	*out = wire;
	return 0;
}

static uint32_t wire_key(const struct shunt_ship_wire *wire, unsigned int area)
{
	return wire->mr[area]->rkey;
}

static void wire_aim(struct shunt_ship_wire *wire, uint32_t key)
{
	wire->key = key;
}

static unsigned int wire_pieces(const struct shunt_ship_wire *wire)
{
	return wire->pieces;
}

static void wire_tell(const struct shunt_ship_wire *wire, char *name, size_t room,
		      uint32_t *mtu)
{
	snprintf(name, room, "%s",
		 wire->verbs ? ibv_get_device_name(wire->verbs->device) : "");
	*mtu = wire->mtu;
}

static const struct shunt_ship_wire_ops wire_ops = {
	.open = wire_open,
	.close = wire_close,
	.call = shunt_ship_call,
	.answer = shunt_ship_answer,
	.look = shunt_ship_look,
	.hang_up = shunt_ship_hang_up,
	.key = wire_key,
	.aim = wire_aim,
	.pieces = wire_pieces,
	.post = shunt_ship_post,
	.poll = shunt_ship_poll,
	.wait = shunt_ship_wait,
	.absent = shunt_rdma_absent,
	.tell = wire_tell,
};

SHUNT_PLUGIN(&wire_ops, SHUNT_PLUGIN_WIRES);
