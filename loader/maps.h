/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps of one instance, and the two of them that are mapped into memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "maps/gen.h"
#include "maps/image.h"
#include "user/base/err.h"

struct bpf_object;

/* X(ENUM, name): the pin's name; in BPF it is called shunt_<name>. */
#define SHUNT_MAPS(X)                                                                  \
	X(GEN, "gen")                                                                  \
	X(IMAGE, "image")                                                              \
	X(COUNTER, "counter")                                                          \
	X(SET, "set")                                                                  \
	X(SERVICE, "service")                                                          \
	X(XSK, "xsk")                                                                  \
	X(DEV, "dev")                                                                  \
	X(CPU, "cpu")                                                                  \
	X(TRACE, "trace")                                                              \
	X(LIMIT, "limit")                                                              \
	X(LIMIT_BY, "limit_by")                                                        \
	X(RING, "ring")

enum shunt_map {
#define X(id, name) SHUNT_MAP_##id,
	SHUNT_MAPS(X)
#undef X
		SHUNT_MAP_COUNT,
};

/* Descriptors are -1 where the map does not exist (yet). */
struct shunt_maps {
	int fd[SHUNT_MAP_COUNT];
	struct shunt_gen *gen; /* NULL until shunt_maps_mmap() */
	uint8_t *images;       /* SHUNT_SLOTS images of SHUNT_IMAGE_BYTES */
};

#define SHUNT_MAPS_NONE                                                                \
	{                                                                              \
		.fd = { [0 ... SHUNT_MAP_COUNT - 1] = -1 }                             \
	}

/* Before a load: lets the object use the maps that exist. */
SHUNT_MUST_CHECK int shunt_maps_lend(const struct shunt_maps *maps,
				     struct bpf_object *object, struct shunt_err *err);

/* After a load: takes descriptors of the maps that the object made. */
SHUNT_MUST_CHECK int shunt_maps_take(struct shunt_maps *maps,
				     const struct bpf_object *object,
				     struct shunt_err *err);

SHUNT_MUST_CHECK int shunt_maps_mmap(struct shunt_maps *maps, struct shunt_err *err);

/* Pins those that are not pinned yet. */
SHUNT_MUST_CHECK int shunt_maps_pin(const struct shunt_maps *maps, const char *instance,
				    struct shunt_err *err);

/* Opens what an instance has pinned, and maps it. */
SHUNT_MUST_CHECK int shunt_maps_open(struct shunt_maps *maps, const char *instance,
				     struct shunt_err *err);

/* Fine on a half-filled one. */
void shunt_maps_close(struct shunt_maps *maps);
