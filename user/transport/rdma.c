/* SPDX-License-Identifier: BSD-2-Clause */
/* rdma://: the row that speaks for the plug-in (user/transport/rdma). */
#include <stdio.h>

#include "user/io/plugin.h"
#include "user/transport/backends.h"
#include "user/transport/rdma/options.h"

static int plugged(const struct shunt_transport_ops **ops, struct shunt_err *err)
{
	static const struct shunt_plugin_kind transports = SHUNT_PLUGIN_TRANSPORTS;
	const void *vtable = NULL;
	int ret = shunt_plugin_open(&vtable, &transports, "rdma",
				    "librdmacm-dev and libibverbs-dev", err);

	if (!ret)
		*ops = vtable;
	return ret;
}

static const char *absent(char *room, size_t bytes)
{
	const struct shunt_transport_ops *ops;
	struct shunt_err err;

	if (!plugged(&ops, &err))
		return ops->absent(room, bytes);
	snprintf(room, bytes, "%s", err.message);
	return room;
}

const struct shunt_transport_ops shunt_rdma_ops = {
	SHUNT_RDMA_ROW,
	.absent = absent,
	.plugged = plugged,
};
