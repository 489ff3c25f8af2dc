/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/ethtool.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "user/base/cleanup.h"

int shunt_ethtool(const char *interface, void *command)
{
	struct ifreq ifr = { .ifr_data = command };
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	return fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
}

uint32_t shunt_ethtool_ask(const char *interface, uint32_t command)
{
	struct ethtool_value value = { .cmd = command };

	return shunt_ethtool(interface, &value) ? 0 : value.data;
}

/* --- channels ---------------------------------------------------------------- */

int shunt_ethtool_queues(const char *interface, struct shunt_ethtool_queues *queues)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	int ret = shunt_ethtool(interface, &channels);

	if (ret)
		return ret;
	queues->now = channels.rx_count + channels.combined_count;
	queues->max = channels.combined_count || !channels.max_rx
			      ? channels.max_combined
			      : channels.max_rx;
	return 0;
}

int shunt_ethtool_set_queues(const char *interface, uint32_t queues)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	int ret = shunt_ethtool(interface, &channels);

	if (ret)
		return ret;
	channels.cmd = ETHTOOL_SCHANNELS;
	if (channels.combined_count || !channels.max_rx) {
		channels.combined_count = queues - channels.rx_count;
	} else {
		channels.rx_count = queues;
		if (channels.max_tx)
			channels.tx_count =
				queues < channels.max_tx ? queues : channels.max_tx;
	}
	return shunt_ethtool(interface, &channels);
}

/* --- features ---------------------------------------------------------------- */

static int count_features(const char *interface, uint32_t *count)
{
	_free_ struct ethtool_sset_info *set =
		calloc(1, sizeof(*set) + sizeof(*set->data));
	int ret;

	if (!set)
		return -ENOMEM;
	set->cmd = ETHTOOL_GSSET_INFO;
	set->sset_mask = 1ull << ETH_SS_FEATURES;
	ret = shunt_ethtool(interface, set);
	*count = set->data[0];
	if (!ret && (!set->sset_mask || !*count))
		ret = -EOPNOTSUPP;
	return ret;
}

/* Which of so many features is called so? */
static int find_feature(const char *interface, const char *name, uint32_t count)
{
	_free_ struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	uint32_t i;
	int ret;

	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	ret = shunt_ethtool(interface, names);
	for (i = 0; !ret && i < names->len && i < count; i++)
		if (!strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
			     ETH_GSTRING_LEN))
			return i;
	return ret ? ret : -ENOENT;
}

int shunt_ethtool_feature(const char *interface, const char *name,
			  struct shunt_ethtool_feature *feature)
{
	uint32_t count;
	int at, ret = count_features(interface, &count);

	if (ret)
		return ret;
	at = find_feature(interface, name, count);
	if (at < 0)
		return at;
	_free_ struct ethtool_gfeatures *all =
		calloc(1, sizeof(*all) + (count + 31) / 32 * sizeof(*all->features));
	if (!all)
		return -ENOMEM;
	all->cmd = ETHTOOL_GFEATURES;
	all->size = (count + 31) / 32;
	ret = shunt_ethtool(interface, all);
	if (ret)
		return ret;
	feature->on = all->features[at / 32].active >> at % 32 & 1;
	feature->fixed = !(all->features[at / 32].available >> at % 32 & 1) ||
			 all->features[at / 32].never_changed >> at % 32 & 1;
	return 0;
}

uint32_t shunt_ethtool_indirection(const char *interface)
{
	struct ethtool_rxfh_indir table = { .cmd = ETHTOOL_GRXFHINDIR };

	return shunt_ethtool(interface, &table) ? 0 : table.size;
}
