/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps of one instance, and the two of them that are mapped into memory. */
#pragma once

/*
 * Two maps are as large as the instance's policies need. When a policy outgrows them,
 * programs with larger ones take over (loader/takeover.h):
 *
 *     image     pinned as image_next until all hooks have programs that use it; then it
 *               takes the place of the smaller one, by a rename
 *     counter   pinned beside the smaller ones, as counter1, counter2, …: what has been
 *               counted stays where it is, and a counter is the sum over all of them.
 *               Each is at least twice as large as the one before
 */
#include <stdbool.h>
#include <stdint.h>

#include "maps/counter.h"
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
	X(RING, "ring")                                                                \
	X(RELAY, "relay")                                                              \
	X(HANDED, "handed")                                                            \
	X(SEAT, "seat")                                                                \
	X(WATCH, "watch")                                                              \
	X(LOSS, "loss")

enum shunt_map {
#define X(id, name) SHUNT_MAP_##id,
	SHUNT_MAPS(X)
#undef X
		SHUNT_MAP_COUNT,
};

#define SHUNT_COUNTER_MAPS 10 /* more than the doublings up to SHUNT_COUNTER_MAX */

/* Descriptors are -1 where the map does not exist (yet). */
struct shunt_maps {
	int fd[SHUNT_MAP_COUNT];
	struct shunt_gen *gen; /* NULL until shunt_maps_mmap() */
	uint8_t *images;       /* SHUNT_SLOTS images of image_bytes */
	uint32_t image_bytes;  /* of one slot; 0: not chosen yet */
	uint32_t counters;     /* counter ids that there are; 0: as above */
	uint32_t ifindex;      /* what a netfilter program is loaded for; 0: nothing */
	int past_counter[SHUNT_COUNTER_MAPS]; /* smaller maps, which stay as they are */
	size_t past_counters;
};

/* What a policy needs room for, and programs to have. */
struct shunt_needs {
	uint32_t features;    /* enum shunt_feature */
	uint32_t image_bytes; /* of the compiled policy */
	uint32_t counters;    /* one more than the highest counter id */
};

#define SHUNT_MAPS_NONE                                                                \
	{                                                                              \
		.fd = { [0 ... SHUNT_MAP_COUNT - 1] = -1 }                             \
	}

/*
 * Chooses the sizes of maps that do not exist yet: image and counters have some room to
 * spare. Before the first load.
 */
void shunt_maps_choose(struct shunt_maps *maps, const struct shunt_needs *needs);

/* Asks the kernel for the sizes of image and counters, which exist. */
SHUNT_MUST_CHECK int shunt_maps_measure(struct shunt_maps *maps, struct shunt_err *err);

/* Before a load: lets the object use the maps that exist, and sizes the others. */
SHUNT_MUST_CHECK int shunt_maps_lend(const struct shunt_maps *maps,
				     struct bpf_object *object, struct shunt_err *err);

/* After a load: takes descriptors of the maps that the object made. */
SHUNT_MUST_CHECK int shunt_maps_take(struct shunt_maps *maps,
				     const struct bpf_object *object,
				     struct shunt_err *err);

SHUNT_MUST_CHECK int shunt_maps_mmap(struct shunt_maps *maps, struct shunt_err *err);

/* Maps the images alone, as after a growth. */
SHUNT_MUST_CHECK int shunt_maps_mmap_images(struct shunt_maps *maps,
					    struct shunt_err *err);
void shunt_maps_munmap_images(struct shunt_maps *maps);

/* The image in the slot of a generation; the slot may hold any bytes. */
struct shunt_image *shunt_maps_image(const struct shunt_maps *maps,
				     uint64_t generation);

/* The kernel's id of a map; 0: there is none. */
uint32_t shunt_maps_id(int fd);

/* Pins those that are not pinned yet. */
SHUNT_MUST_CHECK int shunt_maps_pin(const struct shunt_maps *maps, const char *instance,
				    struct shunt_err *err);

/* Pins a larger image, or a larger map of counters, beside those that there are. */
SHUNT_MUST_CHECK int shunt_maps_pin_image(const struct shunt_maps *maps,
					  const char *instance, struct shunt_err *err);
SHUNT_MUST_CHECK int shunt_maps_pin_counter(const struct shunt_maps *maps,
					    const char *instance,
					    struct shunt_err *err);

/* All programs use the larger image: it is the only one from now on. */
SHUNT_MUST_CHECK int shunt_maps_settle(const char *instance, struct shunt_err *err);

/*
 * Maps of counters whose pins are out of sequence get the numbers that come next; the
 * last one stays the last. *gaps, unless NULL, says whether there are any, and then
 * nothing is changed.
 */
SHUNT_MUST_CHECK int shunt_maps_close_gaps(const char *instance, bool *gaps,
					   struct shunt_err *err);

/* Opens what an instance has pinned, and maps it. */
SHUNT_MUST_CHECK int shunt_maps_open(struct shunt_maps *maps, const char *instance,
				     struct shunt_err *err);

/* Fine on a half-filled one. */
void shunt_maps_close(struct shunt_maps *maps);
