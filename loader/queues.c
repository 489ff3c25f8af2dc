/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/queues.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "maps/consumer.h"
#include "user/base/cleanup.h"

uint64_t shunt_queues(const char *interface)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (char *)&channels };
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int n = 1;

	strncpy(ifr.ifr_name, interface, sizeof(ifr.ifr_name) - 1);
	if (fd >= 0 && !ioctl(fd, SIOCETHTOOL, &ifr))
		n = channels.rx_count + channels.combined_count;
	if (!n)
		n = 1;
	return n >= SHUNT_QUEUE_MAX ? UINT64_MAX : (1ull << n) - 1;
}
