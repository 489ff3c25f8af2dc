/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct shunt_pkt to a rule: sets, then the engines that the policy uses. */
#pragma once

#include "bpf/lib/vectors.h"
#include "bpf/lib/words.h"

#define SHUNT_NO_SERVICE 0xffffffffu

/* Protocol << 16 | port, of one side of a layer; or SHUNT_NO_SERVICE. */
SHUNT_INLINE __u32 shunt_service_of(const struct shunt_layer *layer, __u32 side)
{
	__u32 port = layer->field[side == SHUNT_SIDE_SRC ? SHUNT_FIELD_SPORT
							 : SHUNT_FIELD_DPORT];
	__u32 proto = layer->field[SHUNT_FIELD_PROTO];

	return port && proto ? (proto - 1) << 16 | (port - 1) : SHUNT_NO_SERVICE;
}

/* Which sets hold the packet's addresses, into s->in[]. */
SHUNT_INLINE void shunt_ask_sets(const struct shunt_image *image,
				 const struct shunt_pkt *pkt, struct shunt_search *s)
{
	__u32 i;

	for (i = 0; i < SHUNT_SIDE_MAX; i++)
		s->in[i] = 0;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_ASK_MAX; i++) {
		const struct shunt_image_set *set = &image->set[i];
		__u32 where = set->where & (SHUNT_SIDE_MAX - 1);
		__u32 side = where & (SHUNT_SIDES - 1);
		const struct shunt_layer *layer = &pkt->layer[where / SHUNT_SIDES];

		if (i >= image->sets)
			break;
		if (layer->l3 != SHUNT_L3_NONE &&
		    shunt_set_has(set->id, set->type, layer->l3, layer->addr[side],
				  shunt_service_of(layer, side)))
			s->in[where] |= 1ull << (set->bit & 63);
	}
}

SHUNT_INLINE const struct shunt_image_rule *shunt_image_rule_at(
	const struct shunt_image *image, __u32 place)
{
	return shunt_image_at(
		image, image->rule + (__u64)place * sizeof(struct shunt_image_rule),
		sizeof(struct shunt_image_rule));
}
