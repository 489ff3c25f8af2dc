/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/uri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

static const char *const waits[] = {
	[SHUNT_WAIT_ADAPTIVE] = "adaptive",
	[SHUNT_WAIT_POLL] = "poll",
	[SHUNT_WAIT_SPIN] = "spin",
	NULL,
};

#define AT(member) .offset = offsetof(struct shunt_transport_options, member)

const struct shunt_spec_row shunt_transport_rows[] = {
	{ "wait", SHUNT_SPEC_CHOICE, .choices = waits, AT(wait), .value = "HOW",
	  .help = "adaptive (the default: spin for a moment, then sleep), poll or "
		  "spin" },
	{ "header", SHUNT_SPEC_SWITCH, AT(header),
	  .help = "messages carry a header with numbers, channel and length; on is "
		  "the default, off talks to anybody" },
	{ "mtu", SHUNT_SPEC_NUMBER, 64, 65507, AT(mtu), .value = "BYTES",
	  .help = "bytes of the longest datagram, its header included; by the "
		  "interface's MTU unless told" },
	{ "message-max", SHUNT_SPEC_NUMBER, 1, SHUNT_MESSAGE_MAX, AT(message_max),
	  .value = "BYTES", .help = "bytes of the longest message; 1M is the default" },
	{ "peers", SHUNT_SPEC_NUMBER, 1, SHUNT_TRANSPORT_PEERS_MAX, AT(peers),
	  .value = "N", .help = "peers at a time; 16384 is the default" },
	{ "buffers", SHUNT_SPEC_NUMBER, 16, SHUNT_MEMORY_FRAMES_MAX, AT(buffers),
	  .value = "N", .help = "buffers for messages; 4096 is the default" },
	{ "connect", SHUNT_SPEC_NUMBER, 1, 600000, AT(connect_ms), .value = "MS",
	  .help = "milliseconds to wait for a peer that is opened; 5000 is the "
		  "default" },
	{ 0 },
};

/* --- the parts --------------------------------------------------------------------------- */

static int no_uri(struct shunt_err *err, const char *text, const char *why)
{
	return shunt_fail(err, -EINVAL,
			  "transport \"%s\": %s; it reads "
			  "SCHEME://[ADDRESS]:PORT[?KEY=VALUE&...], such as "
			  "epoll://192.0.2.1:7000?wait=spin",
			  text, why);
}

/* "key=value&key=value" as user/io/spec.h reads it. */
static int take_query(struct shunt_uri *uri, const char *text, const char *query,
		      struct shunt_err *err)
{
	char *at = uri->query;

	if (strlen(query) >= sizeof(uri->query))
		return no_uri(err, text, "what follows the ? is too long");
	if (strchr(query, ','))
		return no_uri(err, text, "behind the ?, & stands between two options");
	strcpy(uri->query, query);
	while ((at = strchr(at, '&')))
		*at = ',';
	return 0;
}

int shunt_uri_split(struct shunt_uri *uri, const char *text, struct shunt_err *err)
{
	const char *slashes = strstr(text, "://"), *query = strchr(text, '?');
	char address[256];
	size_t scheme, bytes;
	int ret;

	*uri = (struct shunt_uri){ 0 };
	if (!slashes || slashes == text || (query && query < slashes))
		return no_uri(err, text, "it has no scheme");
	scheme = (size_t)(slashes - text);
	slashes += 3;
	bytes = query ? (size_t)(query - slashes) : strlen(slashes);
	if (scheme >= sizeof(uri->scheme) || bytes >= sizeof(address))
		return no_uri(err, text, "its scheme or its address is too long");
	memcpy(uri->scheme, text, scheme);
	memcpy(address, slashes, bytes);
	address[bytes] = '\0';
	ret = shunt_endpoint_parse(&uri->local, address, err);
	if (ret)
		return shunt_fail_in(err, ret, "transport \"%s\": ", text);
	snprintf(uri->address, sizeof(uri->address), "//%.*s",
		 (int)sizeof(uri->address) - 3, address);
	return take_query(uri, text, query ? query + 1 : "", err);
}

/* --- the options --------------------------------------------------------------------------- */

#define ROWS_MAX 64

/* One table of two, whose values lie one behind the other. */
static void join(struct shunt_spec_row rows[ROWS_MAX], const struct shunt_spec_row *own)
{
	size_t i, n = 0;

	for (i = 0; shunt_transport_rows[i].key; i++)
		rows[n++] = shunt_transport_rows[i];
	for (i = 0; own && own[i].key && n < ROWS_MAX - 1; i++) {
		rows[n] = own[i];
		rows[n++].offset += sizeof(struct shunt_transport_options);
	}
	rows[n] = (struct shunt_spec_row){ 0 };
}

int shunt_uri_read(const struct shunt_uri *uri, const struct shunt_transport_ops *ops,
		   struct shunt_transport_options *common, void *own,
		   struct shunt_err *err)
{
	struct shunt_spec_row rows[ROWS_MAX];
	struct shunt_spec spec = { .noun = "transport", .rest = uri->query };
	_free_ char *values = malloc(sizeof(*common) + ops->options_bytes);
	int ret;

	if (!values)
		return shunt_fail_errno(err, -ENOMEM, "read the options of %s",
					uri->address);
	join(rows, ops->options);
	snprintf(spec.scheme, sizeof(spec.scheme), "%s", uri->scheme);
	snprintf(spec.device, sizeof(spec.device), "%s", uri->address);
	memcpy(values, common, sizeof(*common));
	if (ops->options_bytes)
		memcpy(values + sizeof(*common), own, ops->options_bytes);
	ret = shunt_spec_read(&spec, rows, values, err);
	if (ret)
		return ret;
	memcpy(common, values, sizeof(*common));
	if (ops->options_bytes)
		memcpy(own, values + sizeof(*common), ops->options_bytes);
	return 0;
}
