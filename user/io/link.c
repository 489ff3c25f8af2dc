/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "user/base/cleanup.h"

static int ask(const struct shunt_link *link, unsigned long what, struct ifreq *request)
{
	memcpy(request->ifr_name, link->name, sizeof(request->ifr_name));
	return ioctl(link->fd, what, request) ? -errno : 0;
}

int shunt_link_open(struct shunt_link *link, const char *name, struct shunt_err *err)
{
	struct ifreq request = { 0 };
	int ret = -ENODEV;

	*link = (struct shunt_link)SHUNT_LINK_NONE;
	link->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return shunt_fail_errno(err, -errno, "%s: open a socket", name);
	if (strlen(name) < sizeof(link->name)) {
		strcpy(link->name, name);
		ret = ask(link, SIOCGIFINDEX, &request);
		link->ifindex = request.ifr_ifindex;
	}
	if (!ret)
		ret = ask(link, SIOCGIFHWADDR, &request);
	if (ret)
		return shunt_fail_errno(err, ret, "%s: there is no such interface here",
					name);
	link->type = request.ifr_hwaddr.sa_family;
	memcpy(link->mac, request.ifr_hwaddr.sa_data, sizeof(link->mac));
	return shunt_link_look(link, err);
}

void shunt_link_close(struct shunt_link *link)
{
	shunt_cleanup_fd(&link->fd);
}

int shunt_link_look(struct shunt_link *link, struct shunt_err *err)
{
	struct ifreq name = { .ifr_ifindex = link->ifindex }, flags = { 0 },
		     mtu = { 0 };

	if (!ioctl(link->fd, SIOCGIFNAME, &name))
		memcpy(link->name, name.ifr_name, sizeof(link->name));
	else
		return shunt_fail(err, -ENODEV,
				  "%s: the interface is gone from this namespace",
				  link->name);
	if (ask(link, SIOCGIFFLAGS, &flags) || ask(link, SIOCGIFMTU, &mtu))
		return shunt_fail_errno(err, -errno, "%s: look at the interface",
					link->name);
	link->mtu = (uint32_t)mtu.ifr_mtu;
	if (!(flags.ifr_flags & IFF_UP))
		return shunt_fail(err, -ENETDOWN,
				  "%s: the interface is down; `ip link set %s up` "
				  "brings it up",
				  link->name, link->name);
	return 0;
}
