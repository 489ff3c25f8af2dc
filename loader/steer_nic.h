/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a NIC be as a record of steering says. */
#pragma once

/*
 * Nothing of others is touched: a filter is taken out only where the NIC has, at the
 * place that we have noted, what we have noted; a setting is given back its former
 * value only where it has the one that we gave it. Every function may be called again
 * for what is done already.
 */
#include <stdbool.h>

#include <cjson/cJSON.h>

#include "loader/ntuple.h"
#include "loader/steer_record.h"
#include "user/base/err.h"

struct shunt_steer_nic {
	char interface[IF_NAMESIZE];
	int sysfs;    /* -1: not opened yet */
	cJSON *notes; /* gets warnings; NULL: nobody listens */
	bool settles; /* filters may be in already: what cannot be asked is an error */
	bool has_table; /* of filters, as read by shunt_steer_nic_look() */
	struct shunt_ntuple_table table;
	struct shunt_ntuple *rule; /* one a location; family 0: somebody else's kind */
};

/* -ENODEV: there is no such interface here. Close it in any case. */
SHUNT_MUST_CHECK int shunt_steer_nic_open(struct shunt_steer_nic *nic,
					  unsigned int ifindex, cJSON *notes);
void shunt_steer_nic_close(struct shunt_steer_nic *nic);
#define _steer_nic_ __attribute__((cleanup(shunt_steer_nic_close)))
#define SHUNT_STEER_NIC_NONE                                                           \
	{                                                                              \
		.sysfs = -1                                                            \
	}

/* Reads the table of filters anew. -EOPNOTSUPP: the NIC has none. */
SHUNT_MUST_CHECK int shunt_steer_nic_look(struct shunt_steer_nic *nic);

/* --- filters ----------------------------------------------------------------- */

/*
 * The place where the NIC has what is noted: at its location, or anywhere, if the driver
 * chooses. SHUNT_NTUPLE_ANYWHERE: it does not have it.
 */
uint32_t shunt_steer_nic_find(const struct shunt_steer_nic *nic,
			      const struct shunt_ntuple *is);

/*
 * Gives places to filters that have none, or whose own is somebody else's by now, but to those whose flows somebody else's filter
 * has already: they are left out, as are all where the NIC has no table. `old` are the
 * filters that are Shunt's. Warns.
 */
SHUNT_MUST_CHECK int shunt_steer_nic_place(struct shunt_steer_nic *nic,
					   struct shunt_steer *wanted,
					   const struct shunt_steer *old,
					   struct shunt_err *err);

/*
 * Puts in those that are missing, at their places. What the NIC does not take is left
 * out, with a note; unless a filter of `old`, which may be NULL, stands in its way.
 */
SHUNT_MUST_CHECK int shunt_steer_nic_insert(struct shunt_steer_nic *nic,
					    struct shunt_steer *wanted,
					    const struct shunt_steer *old,
					    struct shunt_err *err);

/* Takes out those of a record that another does not want. */
SHUNT_MUST_CHECK int shunt_steer_nic_delete(struct shunt_steer_nic *nic,
					    const struct shunt_steer *gone,
					    const struct shunt_steer *wanted,
					    struct shunt_err *err);

/* --- settings ---------------------------------------------------------------- */

SHUNT_MUST_CHECK int shunt_steer_nic_get(struct shunt_steer_nic *nic,
					 const struct shunt_steer_setting *setting,
					 char text[SHUNT_CPUS_TEXT]);

/* Is the text what the setting is to be? */
bool shunt_steer_nic_is(const struct shunt_steer_setting *setting, const char *text);

/*
 * Notes what the settings were, from `old` where that has them already, and leaves out
 * those that cannot be asked for, with a note.
 */
void shunt_steer_nic_remember(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			      const struct shunt_steer *old);

/* Puts them in; `last`: what is refused is left out, with a note. */
void shunt_steer_nic_put(struct shunt_steer_nic *nic, struct shunt_steer *wanted,
			 bool last);

/* Gives those back that another record does not want. */
SHUNT_MUST_CHECK int shunt_steer_nic_give_back(struct shunt_steer_nic *nic,
					       const struct shunt_steer *gone,
					       const struct shunt_steer *wanted,
					       struct shunt_err *err);
