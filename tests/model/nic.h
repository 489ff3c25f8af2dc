/* SPDX-License-Identifier: BSD-2-Clause */
/* A NIC with channels and a table of ntuple filters, as a driver answers ethtool. */
#pragma once

/*
 * As simple as can be: a place of the table is used or not, a rule is kept as it came. It
 * is one block of memory without pointers, so that several processes may share it.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/ethtool.h>

#define NIC_PLACES 64

struct nic_model {
	uint32_t size;	   /* places, up to NIC_PLACES; 0: no table at all */
	uint32_t full;	   /* rules from which on it answers ENOSPC; 0: never */
	uint32_t anywhere; /* the driver chooses places, from the first one on */
	uint32_t off;	   /* `ethtool -K … ntuple off` */
	uint32_t coarse; /* it cannot tell source ports apart, and shows what it kept */
	uint32_t queues, queues_max;
	/* Changes: rules put in and taken out, and the number of queues. */
	uint32_t changes;
	uint32_t kill_before, kill_behind; /* SIGKILL around that change; 0: none */
	uint32_t fail_at, fail_errno;	   /* that change is refused */
	bool used[NIC_PLACES];
	struct ethtool_rx_flow_spec rule[NIC_PLACES];
};

/* Is the command one that the model knows? */
bool nic_model_knows(uint32_t command);

/* What SIOCETHTOOL would do with it: 0 or -errno. */
int nic_model_answer(struct nic_model *nic, void *command);
