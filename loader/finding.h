/* SPDX-License-Identifier: BSD-2-Clause */
/* What fsck can find, and a list of what it has found. */
#pragma once

/*
 * Explicit and append-only: the names are those of schemas/fsck.schema.json.
 *
 *     X(ENUM, value, name, help, repair)
 *
 * `repair` is what --repair does about it. What it cannot mend begins with "nothing:".
 */
#include <stdbool.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

#define SHUNT_FINDINGS(X)                                                              \
	X(UNKNOWN_PIN, 0, "unknown-pin",                                               \
	  "a file in the tree that this version of Shunt does not make",               \
	  "nothing: it may be another version's; `rm` it if you know that nobody "     \
	  "needs it")                                                                  \
	X(UNFINISHED, 1, "unfinished",                                                 \
	  "a folder without a record, or without maps, where no program runs",         \
	  "removes the folder")                                                        \
	X(INTERFACE_GONE, 2, "interface-gone",                                         \
	  "an instance whose programs sit nowhere any more", "removes the instance")   \
	X(NAMESPACE_GONE, 3, "namespace-gone",                                         \
	  "an instance of a network namespace that is gone", "removes the instance")   \
	X(RENAMED, 4, "renamed", "an interface has another name than its instance",    \
	  "renames the instance")                                                      \
	X(MOVED, 5, "moved", "an interface is in another namespace than its instance", \
	  "renames the instance")                                                      \
	X(RECORD_REFUSED, 6, "record-refused",                                         \
	  "a record of another version, or a damaged one",                             \
	  "nothing: what is not understood is left alone; `shunt detach` removes "     \
	  "the instance")                                                              \
	X(RECORD_ASTRAY, 7, "record-astray",                                           \
	  "no record belongs to the generation that rules",                            \
	  "nothing: the policy that rules has no text any more; `shunt detach` "       \
	  "removes the instance")                                                      \
	X(STAGED_RECORD, 8, "staged-record", "a record that was not put into place",   \
	  "puts it into place if its generation rules, else removes it")               \
	X(STAGED_PROGRAM, 9, "staged-program",                                         \
	  "a program that was about to take a hook over",                              \
	  "puts its pin into place if it judges packets, else removes it")             \
	X(STAGED_IMAGE, 10, "staged-image", "a larger map of images, not in place",    \
	  "puts its pin into place once all programs use it; the next apply sees "     \
	  "to that")                                                                   \
	X(STAGED_QDISC, 11, "staged-qdisc",                                            \
	  "a note that a clsact qdisc was about to be made", "removes the note")       \
	X(COUNTER_GAP, 12, "counter-gap", "maps of counters that are out of sequence", \
	  "numbers them anew")                                                         \
	X(HOOK_UNRECORDED, 13, "hook-unrecorded",                                      \
	  "a hook that the record does not name", "takes it off")                      \
	X(HOOK_UNPINNED, 14, "hook-unpinned",                                          \
	  "a hook whose link or program has lost its pin", "pins it anew")             \
	X(HOOK_LOST, 15, "hook-lost", "a hook of the record where no program sits",    \
	  "strikes it off the record; `shunt attach` puts it on again")                \
	X(MAP_UNPINNED, 16, "map-unpinned", "a map that has lost its pin",             \
	  "pins it anew")                                                              \
	X(IDLE_IMAGE, 17, "idle-image", "an image that was written and never ruled",   \
	  "empties the slot")                                                          \
	X(SET_EDIT, 18, "set-edit", "a change of a set that was not finished",         \
	  "finishes it")                                                               \
	X(UNUSED_SET, 19, "unused-set", "members of a set that no policy names",       \
	  "lets go of them")                                                           \
	X(UNUSED_LIMIT, 20, "unused-limit", "a table of limits that no rule names",    \
	  "lets go of it")                                                             \
	X(DEAD_RING, 21, "dead-ring", "a ring buffer that nobody reads",               \
	  "takes it away")                                                             \
	X(BUSY, 22, "busy", "an instance that another command is changing",            \
	  "nothing: it was not looked at; run fsck once more when that is done")       \
	X(EMPTY_TREE, 23, "empty-tree", "a tree without an instance",                  \
	  "removes its folders")                                                       \
	X(DEAD_LOCK, 24, "dead-lock", "a lock file without an instance", "removes it") \
	X(HIDDEN, 25, "hidden-instance",                                               \
	  "programs that judge packets, and no tree has them",                         \
	  "nothing by itself, for forwarding must not stop: --adopt pins the "         \
	  "instance here if its record is alive, --take-off ends it")                  \
	X(ORPHAN_PROGRAM, 26, "orphan-program",                                        \
	  "a program of Shunt's that judges nothing, and no tree has it",              \
	  "nothing: the kernel keeps it for whoever has pinned it elsewhere")          \
	X(ORPHAN_MAP, 27, "orphan-map",                                                \
	  "a map of Shunt's that no program or tree has",                              \
	  "nothing: the kernel keeps it for whoever has pinned it elsewhere")          \
	X(STAGED_STEERING, 28, "staged-steering",                                      \
	  "a change of the NIC's filters and queues that was not finished",            \
	  "finishes it, or takes it back where its policy does not rule")              \
	X(STEERING_LOST, 29, "steering-lost",                                          \
	  "a filter or setting of the record that the NIC does not have",              \
	  "puts it in again")

enum shunt_finding {
#define X(id, value, name, help, repair) SHUNT_FINDING_##id = value,
	SHUNT_FINDINGS(X)
#undef X
};

/*
 * Appends {"what", "instance", "where", "why", "repair", "repaired": false}. `instance`
 * may be NULL; `why` is a sentence about this one.
 */
void shunt_finding_add(cJSON *list, enum shunt_finding what, const char *instance,
		       const char *where, const char *why, ...) SHUNT_PRINTF(5, 6);

/*
 * After a repair, `now` is what a second look has found: what is not in it any more was
 * repaired, and what is new is appended. Takes `now`.
 */
void shunt_finding_compare(cJSON *before, cJSON *now);

/* Says of those that are not repaired, but could have been, why that failed. */
void shunt_finding_failed(cJSON *list, const char *why);

/* How many are not repaired. */
int shunt_finding_left(const cJSON *list);
