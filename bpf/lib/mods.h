/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The modifiers of the rule that decides about a packet. */
#pragma once

#include "bpf/lib/datapath.h"
#include "maps/config.h"
#include "maps/mods.h"

/* Are there any? Asked first, so that rules without pay nothing. */
static __always_inline int shunt_has_mods(const struct shunt_trace *t)
{
	return t->rule_data.mods != 0;
}

/* In the image of the generation that was read; NULL: none, or a damaged image. */
static __always_inline const struct shunt_image_mods *shunt_mods_at(
	const struct shunt_trace *t)
{
	__u32 slot = shunt_gen_slot(t->generation), off = t->rule_data.mods;
	struct shunt_image *image;

	if (!off)
		return 0;
	image = bpf_map_lookup_elem(&shunt_image, &slot);
	return image ? shunt_image_at(image, off, sizeof(struct shunt_image_mods)) : 0;
}
