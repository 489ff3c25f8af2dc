/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/tag.h"

#include <stdio.h>
#include <string.h>

#include "loader/program.h"
#include "maps/config.h"

/* The bound program knows native mode only, and no chain. */
static bool never_bound(const char *mode)
{
	return mode && (!strcmp(mode, "generic") || !strcmp(mode, "chained"));
}

/* Why a rule that matches tags may miss. */
static void advise(struct shunt_tag *tag, const struct shunt_nic *nic)
{
	char advice[SHUNT_NIC_ADVICE];

	shunt_nic_vlan_advice(nic, advice);
	if (!nic->vlan_known)
		snprintf(advice, sizeof(advice),
			 "whether the hook xdp sees VLAN tags depends on the peer of "
			 "%s, in another network namespace: where its tx-vlan-offload "
			 "is on, a rule that matches vlan misses. `ethtool -K PEER "
			 "txvlan off` there makes sure; tc-ingress sees them anyway",
			 nic->name);
	shunt_fail(&tag->warning, 0, "%s", advice);
}

void shunt_tag_choose(struct shunt_tag *tag, uint32_t features, const char *interface,
		      const char *mode)
{
	struct shunt_nic nic;

	memset(tag, 0, sizeof(*tag));
	/* an interface that cannot be asked is the caller's to complain about */
	if (!(features & SHUNT_HAS_VLAN_TAG) || shunt_nic_look(&nic, interface, NULL) ||
	    (nic.vlan_known && !nic.vlan_beside))
		return;
	advise(tag, &nic);
	if (nic.meta & SHUNT_NIC_META_VLAN && !never_bound(mode))
		tag->ifindex = nic.ifindex;
}

bool shunt_tag_wants(const struct shunt_tag *tag, enum shunt_hook hook,
		     uint32_t features)
{
	return hook == SHUNT_HOOK_XDP && tag->ifindex && features & SHUNT_HAS_VLAN_TAG;
}

void shunt_tag_give_up(struct shunt_tag *tag, int error)
{
	struct shunt_err advice = tag->warning;

	tag->ifindex = 0;
	shunt_fail(&tag->warning, 0,
		   "the program that asks the driver for VLAN tags cannot be used here "
		   "(%s), so the plain one is: %s",
		   strerror(-error), advice.message);
}

const char *shunt_tag_missed(const struct shunt_tag *tag, uint32_t features)
{
	return features & SHUNT_HAS_VLAN_TAG && !tag->ifindex && *tag->warning.message
		       ? tag->warning.message
		       : NULL;
}

int shunt_tag_load(struct shunt_tag *tag, enum shunt_hook hook, uint32_t features,
		   struct shunt_maps *maps, struct shunt_err *err)
{
	int fd;

	if (hook == SHUNT_HOOK_XDP && tag->chained)
		return shunt_program_load_chained(features, maps, err);
	if (!shunt_tag_wants(tag, hook, features))
		return shunt_program_load(hook, features, maps, err);
	fd = shunt_program_load_bound(features, tag->ifindex, maps, err);
	if (fd >= 0)
		return fd;
	shunt_tag_give_up(tag, fd);
	return shunt_program_load(hook, features, maps, err);
}
