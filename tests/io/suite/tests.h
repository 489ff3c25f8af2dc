/* SPDX-License-Identifier: BSD-2-Clause */
/* What every backend must do: tests that are run over each row. */
#pragma once

#include "tests/io/suite/rig.h"

struct rig_test {
	const char *name; /* a sentence: "bursts arrive whole and in order" */
	void (*run)(struct rig *rig);
	uint32_t needs; /* SHUNT_PORT_…, of the row */
	bool jumbo;	/* at the MTU of the row's longest frame */
};

/* Entries without a name end them. */
extern const struct rig_test rig_tests_rx[], rig_tests_tx[], rig_tests_life[];
