/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 256

/* --- the parts of the text ----------------------------------------------------------- */

struct parts {
	char host[HOST_MAX];
	const char *port;
	bool bracketed;
};

static int no_endpoint(struct shunt_err *err, const char *text, const char *why)
{
	return shunt_fail(err, -EINVAL,
			  "'%s' is no endpoint: %s; it is written ADDRESS:PORT, as in "
			  "192.0.2.1:7000 or [2001:db8::1]:7000",
			  text, why);
}

/* "[HOST]:PORT" or "HOST:PORT", of which an IPv6 address without brackets is neither. */
static int split(struct parts *parts, const char *text, struct shunt_err *err)
{
	const char *colon = strrchr(text, ':'), *end = colon, *host = text;
	size_t len;

	if (!colon)
		return no_endpoint(err, text, "it names no port");
	parts->bracketed = *text == '[';
	if (parts->bracketed) {
		host++;
		end = strchr(text, ']');
		if (!end || end + 1 != colon)
			return no_endpoint(err, text,
					   "behind its bracket comes no port");
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return no_endpoint(err, text, "an IPv6 address stands in brackets");
	}
	len = (size_t)(end - host);
	if (len >= sizeof(parts->host))
		return no_endpoint(err, text, "its name is too long");
	memcpy(parts->host, host, len);
	parts->host[len] = '\0';
	parts->port = colon + 1;
	return 0;
}

static bool read_port(uint16_t *port, const char *text)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	value = strtoul(text, &end, 10);
	*port = (uint16_t)value;
	return !*end && value <= UINT16_MAX;
}

static bool read_ip4(struct shunt_endpoint *endpoint, const char *host)
{
	if (inet_pton(AF_INET, host, endpoint->addr) != 1)
		return false;
	endpoint->l3 = SHUNT_L3_IP4;
	return true;
}

/* An address may name its interface behind a '%' (RFC 4007 section 11). */
static bool read_ip6(struct shunt_endpoint *endpoint, const char *host)
{
	char address[HOST_MAX], *zone;

	snprintf(address, sizeof(address), "%s", host);
	zone = strchr(address, '%');
	if (zone) {
		*zone++ = '\0';
		endpoint->scope = if_nametoindex(zone);
		if (!endpoint->scope)
			return false;
	}
	if (inet_pton(AF_INET6, address, endpoint->addr) != 1)
		return false;
	endpoint->l3 = SHUNT_L3_IP6;
	return true;
}

static int look_up(struct shunt_endpoint *endpoint, const char *host,
		   struct shunt_err *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_DGRAM,
					.ai_flags = AI_ADDRCONFIG };
	uint16_t port = endpoint->port;
	struct sockaddr_storage address = { 0 };
	struct addrinfo *found = NULL;
	int ret = getaddrinfo(host, NULL, &hints, &found);

	if (ret)
		return shunt_fail(
			err, -EHOSTUNREACH, "find the address of %s: %s", host,
			ret == EAI_SYSTEM ? strerror(errno) : gai_strerror(ret));
	memcpy(&address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	shunt_endpoint_from_socket(endpoint, &address);
	endpoint->port = port;
	return 0;
}

int shunt_endpoint_parse(struct shunt_endpoint *endpoint, const char *text,
			 struct shunt_err *err)
{
	struct parts parts = { .port = "" };
	int ret = split(&parts, text, err);

	*endpoint = (struct shunt_endpoint){ 0 };
	if (ret)
		return ret;
	if (!read_port(&endpoint->port, parts.port))
		return no_endpoint(err, text, "its port is no number from 0 to 65535");
	if (parts.bracketed)
		return read_ip6(endpoint, parts.host)
			       ? 0
			       : no_endpoint(err, text,
					     "in its brackets is no IPv6 address, or "
					     "behind the % no interface");
	if (!*parts.host || !strcmp(parts.host, "*"))
		return read_ip4(endpoint, "0.0.0.0") ? 0 : -EINVAL;
	if (read_ip4(endpoint, parts.host))
		return 0;
	return look_up(endpoint, parts.host, err);
}

/* --- text and sockets ------------------------------------------------------------------ */

const char *shunt_endpoint_text(const struct shunt_endpoint *endpoint,
				char text[SHUNT_ENDPOINT_TEXT])
{
	char address[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "";

	if (endpoint->l3 != SHUNT_L3_IP6) {
		inet_ntop(AF_INET, endpoint->addr, address, sizeof(address));
		snprintf(text, SHUNT_ENDPOINT_TEXT, "%s:%u", address, endpoint->port);
		return text;
	}
	inet_ntop(AF_INET6, endpoint->addr, address, sizeof(address));
	if (endpoint->scope) {
		zone[0] = '%';
		if (!if_indextoname(endpoint->scope, zone + 1))
			snprintf(zone + 1, IF_NAMESIZE, "%u", endpoint->scope);
	}
	snprintf(text, SHUNT_ENDPOINT_TEXT, "[%s%s]:%u", address, zone, endpoint->port);
	return text;
}

bool shunt_endpoint_same(const struct shunt_endpoint *a, const struct shunt_endpoint *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool shunt_endpoint_is_any(const struct shunt_endpoint *endpoint)
{
	return !(endpoint->addr[0] | endpoint->addr[1] | endpoint->addr[2] |
		 endpoint->addr[3]);
}

socklen_t shunt_endpoint_to_socket(const struct shunt_endpoint *endpoint,
				   struct sockaddr_storage *to)
{
	struct sockaddr_in *ip4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *ip6 = (struct sockaddr_in6 *)to;

	if (endpoint->l3 == SHUNT_L3_IP6) {
		*ip6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					      .sin6_port = htons(endpoint->port),
					      .sin6_scope_id = endpoint->scope };
		memcpy(&ip6->sin6_addr, endpoint->addr, 16);
		return sizeof(*ip6);
	}
	*ip4 = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(endpoint->port),
				     .sin_addr.s_addr = endpoint->addr[0] };
	return sizeof(*ip4);
}

void shunt_endpoint_from_socket(struct shunt_endpoint *endpoint,
				const struct sockaddr_storage *from)
{
	const struct sockaddr_in *ip4 = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *ip6 = (const struct sockaddr_in6 *)from;

	*endpoint = (struct shunt_endpoint){ .l3 = SHUNT_L3_IP4 };
	if (from->ss_family == AF_INET) {
		endpoint->addr[0] = ip4->sin_addr.s_addr;
		endpoint->port = ntohs(ip4->sin_port);
		return;
	}
	endpoint->port = ntohs(ip6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&ip6->sin6_addr)) {
		memcpy(endpoint->addr, ip6->sin6_addr.s6_addr + 12, 4);
		return;
	}
	endpoint->l3 = SHUNT_L3_IP6;
	memcpy(endpoint->addr, &ip6->sin6_addr, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&ip6->sin6_addr))
		endpoint->scope = ip6->sin6_scope_id;
}
