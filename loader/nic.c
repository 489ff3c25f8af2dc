/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "loader/ethtool.h"
#include "loader/netlink.h"
#include "loader/ntuple.h"
#include "loader/queue_cpus.h"
#include "loader/queues.h"
#include "user/base/cleanup.h"

/* linux/netdev.h, which Debian 12 does not have. */
#define NETDEV_CMD_DEV_GET 1
#define NETDEV_A_DEV_IFINDEX 1
#define NETDEV_A_DEV_XDP_FEATURES 3
#define NETDEV_A_DEV_XDP_RX_METADATA_FEATURES 5

/* --- the driver -------------------------------------------------------------- */

static void look_driver(struct shunt_nic *nic)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (!shunt_ethtool(nic->name, &info))
		snprintf(nic->driver, sizeof(nic->driver), "%s", info.driver);
	nic->vlan_known = true;
	nic->vlan_beside =
		shunt_ethtool_ask(nic->name, ETHTOOL_GFLAGS) & ETH_FLAG_RXVLAN;
	nic->queues = shunt_queues(nic->name);
}

/* --- steering ---------------------------------------------------------------- */

static void look_ntuple(struct shunt_nic *nic)
{
	_ntuples_ struct shunt_ntuple_table table = { .location = NULL };

	nic->ntuple_known =
		!shunt_ethtool_feature(nic->name, "rx-ntuple-filter", &nic->ntuple);
	nic->has_ntuple = !shunt_ntuple_list(nic->name, &table);
	nic->places = table.size;
	nic->places_taken = table.rules;
}

static void look_cpus(struct shunt_nic *nic, int sysfs, enum shunt_queue_kind kind,
		      struct shunt_nic_cpus *cpus)
{
	char text[SHUNT_CPUS_TEXT];
	uint32_t queue;
	size_t n = 0;

	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
		if (shunt_queue_cpus_read(sysfs, nic->name, kind, queue, text))
			break;
		cpus->known = true;
		cpus->any |= shunt_cpus_any(text);
		if (n < sizeof(cpus->text))
			n += snprintf(cpus->text + n, sizeof(cpus->text) - n,
				      "%s%s-%u %s", n ? ", " : "",
				      kind == SHUNT_QUEUE_RPS ? "rx" : "tx", queue,
				      text);
	}
}

static void look_steering(struct shunt_nic *nic)
{
	struct shunt_ethtool_queues queues = { 0 };
	_fd_ int sysfs = shunt_sysfs_open();

	if (!shunt_ethtool_queues(nic->name, &queues))
		nic->queues_max = queues.max;
	look_ntuple(nic);
	nic->indirection = shunt_ethtool_indirection(nic->name);
	if (sysfs < 0)
		return;
	look_cpus(nic, sysfs, SHUNT_QUEUE_RPS, &nic->rps);
	look_cpus(nic, sysfs, SHUNT_QUEUE_XPS, &nic->xps);
}

/* --- generic netlink: what the driver's XDP can do --------------------------- */

static int netdev_family(uint16_t *family)
{
	const struct genlmsghdr head = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
	struct shunt_nl nl;
	const void *id;
	size_t bytes;
	int ret;

	shunt_nl_start(&nl, GENL_ID_CTRL, 0, &head, sizeof(head));
	shunt_nl_put(&nl, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	ret = shunt_nl_talk(&nl, NETLINK_GENERIC);
	id = ret ? NULL : shunt_nl_find(&nl, sizeof(head), CTRL_ATTR_FAMILY_ID, &bytes);
	if (!id || bytes < sizeof(*family))
		return ret ? ret : -EBADMSG;
	memcpy(family, id, sizeof(*family));
	return 0;
}

static uint64_t number(const struct shunt_nl *nl, uint16_t type)
{
	size_t bytes;
	const void *at = shunt_nl_find(nl, sizeof(struct genlmsghdr), type, &bytes);
	uint64_t value = 0;

	if (at && bytes <= sizeof(value))
		memcpy(&value, at, bytes);
	return value;
}

static void look_xdp(struct shunt_nic *nic)
{
	const struct genlmsghdr head = { .cmd = NETDEV_CMD_DEV_GET, .version = 1 };
	struct shunt_nl nl;
	uint16_t family;

	if (netdev_family(&family))
		return;
	shunt_nl_start(&nl, family, 0, &head, sizeof(head));
	shunt_nl_put(&nl, NETDEV_A_DEV_IFINDEX, &nic->ifindex, sizeof(nic->ifindex));
	if (shunt_nl_talk(&nl, NETLINK_GENERIC))
		return;
	nic->knows_xdp = true;
	nic->xdp = number(&nl, NETDEV_A_DEV_XDP_FEATURES);
	nic->meta = number(&nl, NETDEV_A_DEV_XDP_RX_METADATA_FEATURES);
}

/* --- the link ---------------------------------------------------------------- */

/* The answer about one interface, by number. */
static int get_link(struct shunt_nl *nl, unsigned int ifindex)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };

	shunt_nl_start(nl, RTM_GETLINK, 0, &head, sizeof(head));
	return shunt_nl_talk(nl, NETLINK_ROUTE);
}

static unsigned int link_u32(const struct shunt_nl *nl, uint16_t type)
{
	size_t bytes;
	const void *at = shunt_nl_find(nl, sizeof(struct ifinfomsg), type, &bytes);
	uint32_t value = 0;

	if (at && bytes == sizeof(value))
		memcpy(&value, at, bytes);
	return value;
}

static unsigned int link_xdp(const struct shunt_nl *nl)
{
	size_t len, bytes;
	const void *xdp = shunt_nl_find(nl, sizeof(struct ifinfomsg), IFLA_XDP, &len);
	const void *id =
		xdp ? shunt_nl_find_in(xdp, len, IFLA_XDP_PROG_ID, &bytes) : NULL;
	uint32_t value = 0;

	if (id && bytes == sizeof(value))
		memcpy(&value, id, bytes);
	return value;
}

static void look_mac(struct shunt_nic *nic, const struct shunt_nl *nl)
{
	size_t bytes;
	const void *mac =
		shunt_nl_find(nl, sizeof(struct ifinfomsg), IFLA_ADDRESS, &bytes);

	if (mac && bytes == sizeof(nic->mac))
		memcpy(nic->mac, mac, sizeof(nic->mac));
}

static bool link_is_veth(const struct shunt_nl *nl)
{
	size_t len, bytes;
	const void *info =
		shunt_nl_find(nl, sizeof(struct ifinfomsg), IFLA_LINKINFO, &len);
	const char *kind =
		info ? shunt_nl_find_in(info, len, IFLA_INFO_KIND, &bytes) : NULL;

	return kind && bytes >= 4 && !memcmp(kind, "veth", 4);
}

/*
 * A veth's peer runs NAPI with an XDP program on it, or with GRO on. Its setting decides
 * where a tag lies, too: the receiver's rx-vlan-offload changes nothing.
 */
static void look_peer(struct shunt_nic *nic, const struct shunt_nl *nl)
{
	size_t bytes;
	struct shunt_nl peer;
	char name[IF_NAMESIZE];

	nic->peer = link_u32(nl, IFLA_LINK);
	nic->vlan_known = false;
	if (shunt_nl_find(nl, sizeof(struct ifinfomsg), IFLA_LINK_NETNSID, &bytes) ||
	    !if_indextoname(nic->peer, name) || get_link(&peer, nic->peer))
		return;
	nic->peer_here = true;
	nic->peer_napi = link_xdp(&peer) || shunt_ethtool_ask(name, ETHTOOL_GGRO);
	nic->vlan_known = true;
	nic->vlan_beside = shunt_ethtool_ask(name, ETHTOOL_GFLAGS) & ETH_FLAG_TXVLAN;
}

void shunt_nic_vlan_advice(const struct shunt_nic *nic, char text[SHUNT_NIC_ADVICE])
{
	text[0] = '\0';
	if (!nic->vlan_known || !nic->vlan_beside)
		return;
	if (nic->veth)
		snprintf(text, SHUNT_NIC_ADVICE,
			 "the peer of %s (interface %u) hands VLAN tags over beside "
			 "the frame, where the hook xdp does not see them: a rule "
			 "that matches vlan misses there. `ethtool -K PEER txvlan "
			 "off` puts them into the frame; tc-ingress sees them anyway",
			 nic->name, nic->peer);
	else
		snprintf(text, SHUNT_NIC_ADVICE,
			 "%s takes VLAN tags off before the hook xdp: a rule that "
			 "matches vlan misses there. `ethtool -K %s rxvlan off` "
			 "leaves them on; tc-ingress sees them anyway",
			 nic->name, nic->name);
}

int shunt_nic_look(struct shunt_nic *nic, const char *interface, struct shunt_err *err)
{
	struct shunt_nl nl;
	int ret;

	memset(nic, 0, sizeof(*nic));
	nic->ifindex = if_nametoindex(interface);
	if (!nic->ifindex)
		return shunt_fail(
			err, -ENODEV,
			"probe %s: there is no such interface in this network "
			"namespace; `ip link` lists those that there are, "
			"--netns NAME names another namespace",
			interface);
	snprintf(nic->name, sizeof(nic->name), "%s", interface);
	ret = get_link(&nl, nic->ifindex);
	if (ret)
		return shunt_fail_errno(err, ret, "ask the kernel about %s", interface);
	nic->mtu = link_u32(&nl, IFLA_MTU);
	look_mac(nic, &nl);
	nic->xdp_prog = link_xdp(&nl);
	nic->veth = link_is_veth(&nl);
	look_driver(nic);
	look_steering(nic);
	look_xdp(nic);
	if (nic->veth)
		look_peer(nic, &nl);
	return 0;
}
