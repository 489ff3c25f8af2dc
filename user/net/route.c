/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "loader/netlink.h"
#include "user/base/cleanup.h"

#define GROUPS (RTMGRP_NEIGH | RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
#define HEAR_BYTES (1 << 20) /* of events that may wait */

/* States in which the kernel itself would send to it. */
#define KNOWN                                                                          \
	(NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

static uint8_t family_of(uint32_t l3)
{
	return l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET;
}

static uint32_t bytes_of(uint32_t l3)
{
	return l3 == SHUNT_L3_IP6 ? 16 : 4;
}

/* --- opening ------------------------------------------------------------------------------- */

static int open_socket(uint32_t groups)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK,
					     .nl_groups = groups };
	const int room = HEAR_BYTES;
	_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	/* what does not fit is told as SHUNT_ROUTE_MISSED */
	if (groups)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return shunt_steal_fd(&fd);
}

int shunt_route_open(struct shunt_route *route, int ifindex, struct shunt_err *err)
{
	*route = (struct shunt_route)SHUNT_ROUTE_NONE;
	route->ifindex = ifindex;
	route->ask_fd = open_socket(0);
	if (route->ask_fd >= 0)
		route->hear_fd = open_socket(GROUPS);
	if (route->ask_fd >= 0 && route->hear_fd >= 0)
		return 0;
	return shunt_fail_errno(err, route->ask_fd < 0 ? route->ask_fd : route->hear_fd,
				"open a netlink socket for routes and neighbours");
}

void shunt_route_close(struct shunt_route *route)
{
	shunt_cleanup_fd(&route->ask_fd);
	shunt_cleanup_fd(&route->hear_fd);
	*route = (struct shunt_route)SHUNT_ROUTE_NONE;
}

/* --- asking -------------------------------------------------------------------------------- */

/* A request that is answered once: by what it asked for, or by an error. */
static int talk(const struct shunt_route *route, struct shunt_nl *nl)
{
	nl->head.nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	return shunt_nl_talk_over(nl, route->ask_fd);
}

static int fail_way(const struct shunt_route *route, int code,
		    const struct shunt_endpoint *remote, struct shunt_err *err)
{
	char text[SHUNT_ENDPOINT_TEXT], name[IF_NAMESIZE] = "?";

	if_indextoname((unsigned int)route->ifindex, name);
	shunt_endpoint_text(remote, text);
	switch (code) {
	case -EADDRINUSE:
		return shunt_fail(err, code,
				  "%s is an address of this host, and what is sent to "
				  "it never gets to %s: have the peer in another "
				  "network namespace, or on another host",
				  text, name);
	case -EINVAL:
		return shunt_fail(err, code, "%s is no address of one host", text);
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return shunt_fail(err, -EHOSTUNREACH,
				  "there is no route to %s by %s: `ip route` shows "
				  "those there are",
				  text, name);
	default:
		return shunt_fail_errno(err, code, "ask for the route to %s by %s",
					text, name);
	}
}

/* What the type of a route says: 0, or the -errno of fail_way(). */
static int judge_type(uint8_t type)
{
	switch (type) {
	case RTN_UNICAST:
		return 0;
	case RTN_LOCAL:
		return -EADDRINUSE;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_ANYCAST:
		return -EINVAL;
	default:
		return -EHOSTUNREACH;
	}
}

int shunt_route_find(const struct shunt_route *route,
		     const struct shunt_endpoint *remote, uint32_t hop[4],
		     struct shunt_err *err)
{
	const uint32_t bytes = bytes_of(remote->l3);
	const struct rtmsg ask = { .rtm_family = family_of(remote->l3),
				   .rtm_dst_len = (uint8_t)(8 * bytes) };
	const struct rtmsg *answer;
	const void *gateway;
	struct shunt_nl nl;
	size_t len;
	int ret;

	memset(hop, 0, 16);
	memcpy(hop, remote->addr, bytes);
	shunt_nl_start(&nl, RTM_GETROUTE, 0, &ask, sizeof(ask));
	shunt_nl_put(&nl, RTA_DST, remote->addr, bytes);
	shunt_nl_put(&nl, RTA_OIF, &route->ifindex, sizeof(route->ifindex));
	ret = talk(route, &nl);
	if (ret)
		return fail_way(route, ret, remote, err);
	answer = NLMSG_DATA(&nl.head);
	ret = nl.head.nlmsg_type == RTM_NEWROUTE ? judge_type(answer->rtm_type)
						 : -EBADMSG;
	if (ret)
		return fail_way(route, ret, remote, err);
	/* RTA_VIA, a gateway of the other family, has no place here */
	if (shunt_nl_find(&nl, sizeof(*answer), RTA_VIA, &len))
		return fail_way(route, -EHOSTUNREACH, remote, err);
	gateway = shunt_nl_find(&nl, sizeof(*answer), RTA_GATEWAY, &len);
	if (gateway && len == bytes)
		memcpy(hop, gateway, bytes);
	return 0;
}

static struct ndmsg about(const struct shunt_route *route, uint32_t l3)
{
	return (struct ndmsg){ .ndm_family = family_of(l3),
			       .ndm_ifindex = route->ifindex };
}

/* As shunt_route_neighbour() says it, of what the kernel has sent. */
static int read_neighbour(const struct nlmsghdr *head, uint8_t mac[6])
{
	const struct ndmsg *it = NLMSG_DATA(head);
	size_t len, skip = NLMSG_SPACE(sizeof(*it));
	const void *at;

	if (head->nlmsg_len < skip)
		return 0;
	if (it->ndm_state & NUD_FAILED)
		return -EHOSTUNREACH;
	at = shunt_nl_find_in((const char *)head + skip, head->nlmsg_len - skip,
			      NDA_LLADDR, &len);
	if (!(it->ndm_state & KNOWN) || !at || len != 6)
		return 0;
	memcpy(mac, at, 6);
	return 1;
}

int shunt_route_neighbour(const struct shunt_route *route, uint32_t l3,
			  const uint32_t addr[4], uint8_t mac[6])
{
	const struct ndmsg ask = about(route, l3);
	struct shunt_nl nl;
	int ret;

	shunt_nl_start(&nl, RTM_GETNEIGH, 0, &ask, sizeof(ask));
	shunt_nl_put(&nl, NDA_DST, addr, bytes_of(l3));
	ret = talk(route, &nl);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return nl.head.nlmsg_type == RTM_NEWNEIGH ? read_neighbour(&nl.head, mac) : 0;
}

void shunt_route_ask(const struct shunt_route *route, uint32_t l3,
		     const uint32_t addr[4])
{
	struct ndmsg ask = about(route, l3);
	struct shunt_nl nl;

	ask.ndm_flags = NTF_USE;
	shunt_nl_start(&nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &ask,
		       sizeof(ask));
	shunt_nl_put(&nl, NDA_DST, addr, bytes_of(l3));
	if (shunt_nl_talk_over(&nl, route->ask_fd)) {
		/* Whoever waits for the answer gives up by himself. */
	}
}

/* --- hearing ------------------------------------------------------------------------------- */

static bool read_neigh_event(const struct shunt_route *route,
			     const struct nlmsghdr *head,
			     struct shunt_route_event *event)
{
	const struct ndmsg *it = NLMSG_DATA(head);
	size_t len, skip = NLMSG_SPACE(sizeof(*it));
	const void *dst;
	int known;

	if (head->nlmsg_len < skip || it->ndm_ifindex != route->ifindex ||
	    (it->ndm_family != AF_INET && it->ndm_family != AF_INET6))
		return false;
	event->l3 = it->ndm_family == AF_INET6 ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	dst = shunt_nl_find_in((const char *)head + skip, head->nlmsg_len - skip,
			       NDA_DST, &len);
	if (!dst || len != bytes_of(event->l3))
		return false;
	memcpy(event->addr, dst, len);
	known = read_neighbour(head, event->mac);
	if (head->nlmsg_type == RTM_DELNEIGH || known < 0)
		event->what = SHUNT_ROUTE_VAIN;
	else if (known)
		event->what = SHUNT_ROUTE_NEIGHBOUR;
	else
		return false;
	return true;
}

static bool read_link_event(const struct shunt_route *route,
			    const struct nlmsghdr *head,
			    struct shunt_route_event *event)
{
	const struct ifinfomsg *it = NLMSG_DATA(head);
	size_t skip = NLMSG_SPACE(sizeof(*it)), mac_len, mtu_len;
	const void *mac, *mtu;

	if (head->nlmsg_len < skip || it->ifi_index != route->ifindex)
		return false;
	mac = shunt_nl_find_in((const char *)head + skip, head->nlmsg_len - skip,
			       IFLA_ADDRESS, &mac_len);
	mtu = shunt_nl_find_in((const char *)head + skip, head->nlmsg_len - skip,
			       IFLA_MTU, &mtu_len);
	if (!mac || mac_len != 6 || !mtu || mtu_len != sizeof(event->mtu))
		return false;
	event->what = SHUNT_ROUTE_LINK;
	memcpy(event->mac, mac, 6);
	memcpy(&event->mtu, mtu, sizeof(event->mtu));
	return true;
}

static bool read_address_event(const struct shunt_route *route,
			       const struct nlmsghdr *head,
			       struct shunt_route_event *event)
{
	const struct ifaddrmsg *it = NLMSG_DATA(head);
	size_t len, skip = NLMSG_SPACE(sizeof(*it));
	const void *addr;

	if (head->nlmsg_len < skip || (int)it->ifa_index != route->ifindex ||
	    (it->ifa_family != AF_INET && it->ifa_family != AF_INET6))
		return false;
	event->l3 = it->ifa_family == AF_INET6 ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	addr = shunt_nl_find_in((const char *)head + skip, head->nlmsg_len - skip,
				event->l3 == SHUNT_L3_IP4 ? IFA_LOCAL : IFA_ADDRESS,
				&len);
	if (!addr || len != bytes_of(event->l3))
		return false;
	memcpy(event->addr, addr, len);
	event->what = head->nlmsg_type == RTM_NEWADDR ? SHUNT_ROUTE_ADDRESS
						      : SHUNT_ROUTE_NO_ADDRESS;
	return true;
}

static bool read_event(const struct shunt_route *route, const struct nlmsghdr *head,
		       struct shunt_route_event *event)
{
	*event = (struct shunt_route_event){ 0 };
	switch (head->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return read_neigh_event(route, head, event);
	case RTM_NEWLINK:
		return read_link_event(route, head, event);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return read_address_event(route, head, event);
	default:
		return false;
	}
}

/* The kernel tells of one thing at a time: a datagram of it holds one message. */
unsigned int shunt_route_hear(const struct shunt_route *route,
			      struct shunt_route_event *events, unsigned int max)
{
	union {
		struct nlmsghdr head;
		char bytes[8192];
	} told;
	unsigned int n = 0;

	while (n < max) {
		ssize_t len = recv(route->hear_fd, &told, sizeof(told), MSG_DONTWAIT);

		if (len < 0 && errno == ENOBUFS)
			events[n++] = (struct shunt_route_event){
				.what = SHUNT_ROUTE_MISSED
			};
		else if (len < 0)
			break;
		else if (NLMSG_OK(&told.head, (size_t)len))
			n += read_event(route, &told.head, &events[n]);
	}
	return n;
}
