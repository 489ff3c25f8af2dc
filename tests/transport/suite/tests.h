/* SPDX-License-Identifier: BSD-2-Clause */
/* What every transport must do: tests that are run over each row. */
#pragma once

#include "tests/transport/suite/rig.h"

struct rig_test {
	const char *name; /* a sentence: "messages arrive in order, each once" */
	void (*run)(struct rig *rig);
	uint32_t needs;	  /* SHUNT_TRANSPORT_…: what the row must have */
	uint32_t not_for; /* and must not have */
};

/* Entries without a name end them. */
extern const struct rig_test rig_tests_messages[], rig_tests_buffers[],
	rig_tests_pressure[], rig_tests_numbers[], rig_tests_peers[], rig_tests_link[],
	rig_tests_life[], rig_tests_wait[];

/* What only some rows promise (rig_row.own). */
extern const struct rig_test rig_tests_rdma[];
