/* SPDX-License-Identifier: BSD-2-Clause */
/* Where things are pinned: the tree of DESIGN.md section 6. */
#pragma once

/*
 *     /sys/fs/bpf/shunt/v1/<instance>/   links/<hook>   progs/<hook>   maps/<name>
 *                                        state          history/<generation>
 *
 * An instance is named after its interface, with the namespace's cookie before it
 * outside the host's namespace: "ns17:veth0". bpffs refuses names with a dot, hence
 * "%2e".
 */
#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_BPFFS "/sys/fs/bpf"
#define SHUNT_BPFFS_ROOT SHUNT_BPFFS "/shunt"
#define SHUNT_BPFFS_TREE SHUNT_BPFFS_ROOT "/v1"
#define SHUNT_INSTANCE_MAX (IF_NAMESIZE * 3 + 32)
#define SHUNT_PIN_MAX 256 /* bytes of any path in the tree */

/*
 * Is bpffs there? Where it is merely not mounted, `mount` mounts it and says so in
 * *mounted. In another mount namespace (as under `ip netns exec`, which hides
 * it) that would be in vain: then the error names --netns.
 */
SHUNT_MUST_CHECK int shunt_bpffs_ready(bool mount, bool *mounted,
				       struct shunt_err *err);

/* The instance's name for an interface of the calling thread's namespace. */
SHUNT_MUST_CHECK int shunt_instance_name(char name[SHUNT_INSTANCE_MAX],
					 const char *interface, struct shunt_err *err);

/* The interface that an instance is named after. */
void shunt_instance_interface(char interface[IF_NAMESIZE], const char *instance);

/* "<tree>/<instance>[/<folder>[/<leaf>]]"; folder and leaf may be NULL. */
void shunt_pin_path(char path[SHUNT_PIN_MAX], const char *instance, const char *folder,
		    const char *leaf);

/* Makes the instance's folders, parents included; existing ones are fine. */
SHUNT_MUST_CHECK int shunt_pin_mkdirs(const char *instance, struct shunt_err *err);

/*
 * Unpins all of an instance: links first, so that its programs leave the interface
 * before their maps go; then the folders, and the tree's own where they are empty.
 * What is not there any more is fine.
 */
SHUNT_MUST_CHECK int shunt_pin_remove_all(const char *instance, struct shunt_err *err);

/*
 * Is it what a pin of the folder "links" is called: a hook's own, what stands for the
 * second family of netfilter, what a takeover there is about to put in their place,
 * or the watch's (loader/watch.h)?
 */
bool shunt_pin_is_link(const char *leaf);

/*
 * Has the instance links of hooks that this version does not know? Then it cannot say
 * that nothing judges packets.
 */
bool shunt_pin_foreign(const char *instance);

SHUNT_MUST_CHECK int shunt_pin_put(int fd, const char *path, struct shunt_err *err);
