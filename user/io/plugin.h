/* SPDX-License-Identifier: BSD-2-Clause */
/* Plug-ins: backends of ports and transports whose libraries the core does not need. */
#pragma once

/*
 *     a row of shunt_port_backends[]       ┐
 *     a row of shunt_transport_backends[]  ┴─ first use ──▶ NAME.so ── shunt_plugin ──▶ ops
 *
 * A plug-in is a shared object that brings all it needs along: what it uses of Shunt is
 * linked into it and keeps no state, so that the program it is opened by need not export
 * anything. It is looked for in $SHUNT_PLUGINS and nowhere else where that is set; else
 * beside the program or libshunt.so in its build folder (plugins/), then where `make
 * install` puts it (PREFIX/lib/shunt/). Once opened it stays until the process ends.
 */
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/port.h"

/* Goes up when a type that both sides use changes in a way that no size shows. */
#define SHUNT_PLUGIN_ABI 3u

/* What a plug-in is for, by the sizes of the types that its side and ours share. */
struct shunt_plugin_kind {
	const char *noun;      /* "port", for sentences */
	uint32_t number;       /* enum shunt_plugin_number */
	uint32_t common_bytes; /* sizeof(struct shunt_port), … */
	uint32_t ops_bytes;    /* sizeof(struct shunt_port_ops), … */
};

enum shunt_plugin_number {
	SHUNT_PLUGIN_PORT = 1,
	SHUNT_PLUGIN_TRANSPORT = 2,
	SHUNT_PLUGIN_WIRE = 3, /* user/io/ship_wire.h */
};

#define SHUNT_PLUGIN_PORTS                                                             \
	{                                                                              \
		"port", SHUNT_PLUGIN_PORT, sizeof(struct shunt_port),                  \
			sizeof(struct shunt_port_ops)                                  \
	}

/* What a plug-in exports, under the name "shunt_plugin". */
struct shunt_plugin {
	uint32_t abi;	      /* SHUNT_PLUGIN_ABI */
	uint32_t frame_bytes; /* sizeof(struct shunt_frame) */
	struct shunt_plugin_kind kind;
	const void *ops; /* of that kind */
};

/* SHUNT_PLUGIN(&ops, SHUNT_PLUGIN_PORTS) */
#define SHUNT_PLUGIN(vtable, ...)                                                      \
	SHUNT_API extern const struct shunt_plugin shunt_plugin;                       \
	const struct shunt_plugin shunt_plugin = {                                     \
		.abi = SHUNT_PLUGIN_ABI,                                               \
		.frame_bytes = sizeof(struct shunt_frame),                             \
		.kind = __VA_ARGS__,                                                   \
		.ops = (vtable),                                                       \
	}

/*
 * The vtable of a plug-in ("dpdk") of that kind. -EPROTONOSUPPORT: it is not there, a
 * library of its own is missing (`package` names what to install), or it is of another
 * build.
 */
SHUNT_MUST_CHECK int shunt_plugin_open(const void **ops,
				       const struct shunt_plugin_kind *kind,
				       const char *name, const char *package,
				       struct shunt_err *err);

/* The same of a port. */
SHUNT_MUST_CHECK int shunt_plugin_open_port(const struct shunt_port_ops **ops,
					    const char *name, const char *package,
					    struct shunt_err *err);
