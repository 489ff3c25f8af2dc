/* SPDX-License-Identifier: BSD-2-Clause */
/* What interfaces, the process and the kernel tell of sockets. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#endif

#include "user/base/cleanup.h"
#include "user/transport/sock.h"

#define PAYLOAD_LEAST 508u  /* what any IPv4 host takes: 576 less the longest headers */
#define IP4_UDP_BYTES 28u   /* headers of IPv4 and UDP */
#define IP6_UDP_BYTES 48u   /* and of IPv6 and UDP */
#define REFUSALS_A_LOOK 64u /* an error queue is emptied by so many at once */

/* --- what interfaces and the process allow --------------------------------------------- */

/* Bytes; 0: not known. */
static uint32_t mtu_of(int fd, const char *interface)
{
	struct ifreq request = { 0 };

	if (strlen(interface) >= sizeof(request.ifr_name))
		return 0;
	strcpy(request.ifr_name, interface);
	return ioctl(fd, SIOCGIFMTU, &request) || request.ifr_mtu < 0
		       ? 0
		       : (uint32_t)request.ifr_mtu;
}

static bool has_address(const struct ifaddrs *one, const struct shunt_endpoint *local)
{
	struct sockaddr_storage storage = { 0 };
	struct shunt_endpoint endpoint;
	int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;

	if (family != (local->l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET))
		return false;
	memcpy(&storage, one->ifa_addr,
	       family == AF_INET6 ? sizeof(struct sockaddr_in6)
				  : sizeof(struct sockaddr_in));
	shunt_endpoint_from_socket(&endpoint, &storage);
	return !memcmp(endpoint.addr, local->addr, shunt_endpoint_bytes(local)) &&
	       (!local->scope || endpoint.scope == local->scope);
}

/* The least MTU of those that may carry what this address sends. */
static uint32_t least_mtu(int fd, const struct ifaddrs *list,
			  const struct shunt_endpoint *local, bool loopback)
{
	bool any = shunt_endpoint_is_any(local);
	uint32_t least = 0, mtu;

	for (; list; list = list->ifa_next) {
		bool fits =
			any ? (list->ifa_flags & IFF_UP) &&
					!(list->ifa_flags & IFF_LOOPBACK) == !loopback
			    : has_address(list, local);

		mtu = fits ? mtu_of(fd, list->ifa_name) : 0;
		if (mtu && (!least || mtu < least))
			least = mtu;
	}
	return least;
}

uint32_t shunt_sock_payload(const struct shunt_endpoint *local)
{
	uint32_t headers = local->l3 == SHUNT_L3_IP6 ? IP6_UDP_BYTES : IP4_UDP_BYTES;
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifaddrs *list = NULL;
	uint32_t mtu = 0;

	if (fd >= 0 && !getifaddrs(&list)) {
		mtu = least_mtu(fd, list, local, false);
		if (!mtu)
			mtu = least_mtu(fd, list, local, true);
		freeifaddrs(list);
	}
	if (mtu < PAYLOAD_LEAST + headers)
		return PAYLOAD_LEAST;
	return mtu - headers < SHUNT_SOCK_UDP_MAX ? mtu - headers : SHUNT_SOCK_UDP_MAX;
}

uint64_t shunt_sock_descriptors(uint64_t more)
{
	struct rlimit limit, wanted;
	_fd_ int next = dup(STDIN_FILENO);
	uint64_t open_now = next < 0 ? 0 : (uint64_t)next, need = more + open_now;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	wanted = limit;
	if (limit.rlim_cur >= need)
		return limit.rlim_cur - open_now;
	wanted.rlim_cur = need;
	if (wanted.rlim_max < need)
		wanted.rlim_max = need;
	/* beyond the hard limit: those who may raise that one as well */
	if (!setrlimit(RLIMIT_NOFILE, &wanted))
		return more;
	wanted = limit;
	wanted.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &wanted);
	return limit.rlim_max > open_now ? limit.rlim_max - open_now : 0;
}

/* --- what the kernel tells ------------------------------------------------------------------ */

bool shunt_sock_refused(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EMSGSIZE:
		return true;
	default:
		return false;
	}
}

unsigned int shunt_sock_refusals(int fd)
{
#ifdef IP_RECVERR
	unsigned int told = 0, i;

	for (i = 0; i < REFUSALS_A_LOOK; i++) {
		union {
			struct cmsghdr head;
			char room[256];
		} control;
		struct msghdr message = { .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		struct cmsghdr *at;

		if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		for (at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
			struct sock_extended_err what;

			if (!(at->cmsg_level == IPPROTO_IP &&
			      at->cmsg_type == IP_RECVERR) &&
			    !(at->cmsg_level == IPPROTO_IPV6 &&
			      at->cmsg_type == IPV6_RECVERR))
				continue;
			memcpy(&what, CMSG_DATA(at), sizeof(what));
			/* what is refused here is told by the call itself, too */
			told += what.ee_origin != SO_EE_ORIGIN_LOCAL;
		}
	}
	return told;
#else
	(void)fd;
	return 1;
#endif
}

uint64_t shunt_sock_dropped(int fd)
{
#ifdef SO_MEMINFO
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t bytes = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &bytes))
		return 0;
	return info[SK_MEMINFO_DROPS];
#else
	(void)fd;
	return 0;
#endif
}

static uint64_t buffer_of(int fd, int option)
{
	int bytes = 0;
	socklen_t size = sizeof(bytes);

	return getsockopt(fd, SOL_SOCKET, option, &bytes, &size) || bytes < 0
		       ? 0
		       : (uint64_t)bytes;
}

int shunt_sock_describe(const struct shunt_sock_opts *opts, int fd, cJSON *json)
{
	return cJSON_AddStringToObject(json, "proto", shunt_sock_protos[opts->proto]) &&
			       cJSON_AddNumberToObject(json, "rcvbuf",
						       (double)buffer_of(fd,
									 SO_RCVBUF)) &&
			       cJSON_AddNumberToObject(json, "sndbuf",
						       (double)buffer_of(fd, SO_SNDBUF))
		       ? 0
		       : -ENOMEM;
}
