/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that are made for a policy: at and next to what its rules ask for. */
#pragma once

#include "loader/policy/policy.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"

/*
 * Mostly one rule is aimed at: each field is drawn from the first, the last or any
 * value of one of its ranges, seldom from the ones just outside; addresses likewise
 * from prefixes and members of sets. One in 12 frames has a fault.
 */
void shunt_traffic_draw(struct shunt_random *random, const struct shunt_policy *policy,
			struct shunt_frame_spec *spec);

/*
 * The same for the classifier alone: fields and addresses of a parsed packet, in
 * combinations that no parser gives, too.
 */
void shunt_traffic_draw_pkt(struct shunt_random *random,
			    const struct shunt_policy *policy, struct shunt_pkt *pkt);
