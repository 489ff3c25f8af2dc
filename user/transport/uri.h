/* SPDX-License-Identifier: BSD-2-Clause */
/* What a transport is called: "epoll://192.0.2.1:7000?proto=tcp&wait=spin". */
#pragma once

/*
 *     SCHEME://[ADDRESS]:PORT[?KEY=VALUE[&KEY=VALUE]...]
 *
 * A key is either one that all transports have (shunt_transport_rows) or one of the
 * backend's own; another one is an error that lists those there are.
 */
#include "user/transport/backend.h"

/* What all transports can be told, for the help; into struct shunt_transport_options. */
extern const struct shunt_spec_row shunt_transport_rows[];

/* Takes the text apart, all but the query's values. */
SHUNT_MUST_CHECK int shunt_uri_split(struct shunt_uri *uri, const char *text,
				     struct shunt_err *err);

/*
 * Reads the query: what all have into `common`, the rest into the backend's own
 * options. Both hold the defaults.
 */
SHUNT_MUST_CHECK int shunt_uri_read(const struct shunt_uri *uri,
				    const struct shunt_transport_ops *ops,
				    struct shunt_transport_options *common, void *own,
				    struct shunt_err *err);
