/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/dpdk.h"

#include "user/io/dpdk/options.h"
#include "user/io/plugin.h"

static int open_by_plugin(struct shunt_port **port, const struct shunt_spec *spec,
			  const struct shunt_port_opts *opts, struct shunt_err *err)
{
	const struct shunt_port_ops *ops;
	int ret = shunt_plugin_open_port(&ops, "dpdk", "libdpdk-dev", err);

	return ret ? ret : ops->open(port, spec, opts, err);
}

const struct shunt_port_ops shunt_dpdk_port_ops = {
	SHUNT_DPDK_ROW,
	.open = open_by_plugin,
};
