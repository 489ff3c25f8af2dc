/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/nic.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

bool nic_model_knows(uint32_t command)
{
	switch (command) {
	case ETHTOOL_GCHANNELS:
	case ETHTOOL_SCHANNELS:
	case ETHTOOL_GRXCLSRLCNT:
	case ETHTOOL_GRXCLSRLALL:
	case ETHTOOL_GRXCLSRULE:
	case ETHTOOL_SRXCLSRLINS:
	case ETHTOOL_SRXCLSRLDEL:
		return true;
	default:
		return false;
	}
}

/* A change begins: is it refused, or does the process end here? */
static int begin(struct nic_model *nic)
{
	nic->changes++;
	if (nic->changes == nic->kill_before)
		raise(SIGKILL);
	return nic->changes == nic->fail_at ? -(int)nic->fail_errno : 0;
}

static int done(const struct nic_model *nic)
{
	if (nic->changes == nic->kill_behind)
		raise(SIGKILL);
	return 0;
}

static uint32_t rules(const struct nic_model *nic)
{
	uint32_t i, n = 0;

	for (i = 0; i < nic->size; i++)
		n += nic->used[i];
	return n;
}

static int list(const struct nic_model *nic, struct ethtool_rxnfc *ask)
{
	uint32_t i, n = 0;

	if (ask->rule_cnt < rules(nic))
		return -EMSGSIZE;
	for (i = 0; i < nic->size; i++)
		if (nic->used[i])
			ask->rule_locs[n++] = i;
	ask->data = nic->size;
	ask->rule_cnt = n;
	return 0;
}

static int insert(struct nic_model *nic, struct ethtool_rxnfc *ask)
{
	uint32_t at = ask->fs.location;
	int ret = begin(nic);

	if (ret)
		return ret;
	if (nic->off)
		return -EOPNOTSUPP;
	if (nic->full && rules(nic) >= nic->full)
		return -ENOSPC;
	if (nic->anywhere && at != RX_CLS_LOC_ANY)
		return -EINVAL;
	for (at = nic->anywhere ? 0 : at; nic->anywhere && at < nic->size; at++)
		if (!nic->used[at])
			break;
	if (at >= nic->size)
		return nic->anywhere ? -ENOSPC : -EINVAL;
	if (ask->fs.ring_cookie >= nic->queues)
		return -EINVAL;
	ask->fs.location = at;
	nic->used[at] = true;
	nic->rule[at] = ask->fs;
	if (nic->coarse)
		nic->rule[at].m_u.tcp_ip4_spec.psrc = 0;
	return done(nic);
}

static int take_out(struct nic_model *nic, uint32_t at)
{
	int ret = begin(nic);

	if (ret)
		return ret;
	if (at >= nic->size || !nic->used[at])
		return -ENOENT;
	nic->used[at] = false;
	return done(nic);
}

static int set_channels(struct nic_model *nic, const struct ethtool_channels *ask)
{
	int ret = begin(nic);
	uint32_t i;

	if (ret)
		return ret;
	if (!ask->combined_count || ask->combined_count > nic->queues_max)
		return -EINVAL;
	for (i = 0; i < nic->size; i++)
		if (nic->used[i] && nic->rule[i].ring_cookie >= ask->combined_count)
			return -EBUSY;
	nic->queues = ask->combined_count;
	return done(nic);
}

static int rxnfc(struct nic_model *nic, struct ethtool_rxnfc *ask)
{
	uint32_t at = ask->fs.location;

	if (!nic->size)
		return -EOPNOTSUPP;
	switch (ask->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		ask->rule_cnt = rules(nic);
		ask->data = nic->size | (nic->anywhere ? RX_CLS_LOC_SPECIAL : 0);
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		return list(nic, ask);
	case ETHTOOL_GRXCLSRULE:
		if (at >= nic->size || !nic->used[at])
			return -ENOENT;
		ask->fs = nic->rule[at];
		return 0;
	case ETHTOOL_SRXCLSRLINS:
		return insert(nic, ask);
	default:
		return take_out(nic, at);
	}
}

int nic_model_answer(struct nic_model *nic, void *command)
{
	struct ethtool_channels *channels = command;

	switch (*(uint32_t *)command) {
	case ETHTOOL_GCHANNELS:
		channels->max_combined = nic->queues_max;
		channels->combined_count = nic->queues;
		return 0;
	case ETHTOOL_SCHANNELS:
		return set_channels(nic, channels);
	default:
		return rxnfc(nic, command);
	}
}
