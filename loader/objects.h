/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs, links and maps of Shunt, as the kernel numbers them. */
#pragma once

/*
 * A name proves nothing: anybody may call a program "shunt_xdp". A program is taken for
 * one of Shunt's if it has the name of one and uses a shunt_gen, a shunt_image and a
 * shunt_counter of the kind that Shunt makes. An instance's programs all use one
 * shunt_gen; so its id tells instances apart, pinned or not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/hook.h"

struct shunt_program_object {
	uint32_t id;
	char name[16];
	enum shunt_hook hook;
	uint32_t gen;	  /* ids of maps: its generation word */
	uint32_t map[64]; /* all of them */
	size_t maps;
};

/* Is the program with this id one of Shunt's? Then *object tells about it. */
bool shunt_object_program(uint32_t id, struct shunt_program_object *object);

/* The next one after an id (0: the first); false: there are no more. */
bool shunt_object_next_program(uint32_t *id, struct shunt_program_object *object);

struct shunt_link_object {
	uint32_t id;
	uint32_t prog_id;
	unsigned int ifindex; /* 0: its interface is gone, or it was taken off */
	bool ip6;	      /* netfilter's second link, that of IPv6 */
};

/* The next link of a program (0: of any), of those that sit on an interface. */
bool shunt_object_next_link(uint32_t *id, uint32_t prog_id,
			    struct shunt_link_object *link);

/* The name of a map; "": there is none with this id. */
const char *shunt_object_map_name(uint32_t id, char name[16]);

/* The next map that has the name and the kind of one that all of Shunt's programs use. */
bool shunt_object_next_map(uint32_t *id, char name[16]);
