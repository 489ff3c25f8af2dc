/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that are made for a policy: at and next to what its rules ask for. */
#pragma once

#include "loader/policy/policy.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"

/*
 * A frame without a tunnel. Mostly one rule is aimed at in each of its keys
 * (tests/model/aim.h). One in 12 frames has a fault.
 */
void shunt_traffic_draw(struct shunt_random *random, const struct shunt_policy *policy,
			struct shunt_frame_spec *spec);

/* A frame, and what it carries where it is a tunnel. It points into itself: not to be
 * copied. */
struct shunt_traffic {
	struct shunt_frame_spec spec, inner;
};

/*
 * A frame of both layers. One that is aimed at nothing inside a tunnel is a tunnel once
 * in 20 times; one in 12 of the inner packets has a fault, too.
 */
void shunt_traffic_draw_both(struct shunt_random *random,
			     const struct shunt_policy *policy,
			     struct shunt_traffic *traffic);

/* Gives a sound IP packet, once in 4 times, a TTL or hop limit at its end or next to
 * it. */
void shunt_traffic_age(struct shunt_random *random, struct shunt_model_frame *frame);

/*
 * The same for the classifier alone: fields and addresses of a parsed packet, in
 * combinations that no parser gives, too. Only the inner layer is all zero without a
 * tunnel, as maps/pkt.h says.
 */
void shunt_traffic_draw_pkt(struct shunt_random *random,
			    const struct shunt_policy *policy, struct shunt_pkt *pkt);
