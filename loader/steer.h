/* SPDX-License-Identifier: BSD-2-Clause */
/* Steering: a policy's filters and queue settings in the interface's NIC. */
#pragma once

/*
 * A NIC is changed before the policy rules, so that no packet comes to a wrong queue
 * once it does, and cleared behind it; each step may be the last one of a killed process:
 *
 *     shunt_steer_stage    steer_next says what there is to be (generation g + 1)
 *                          ─▶ settings and filters that are new go into the NIC
 *     the policy's flip    (loader/state.h); on trial nothing more is done until the end
 *     shunt_steer_settle   filters and settings that only the loser wanted leave the NIC
 *                          ─▶ the winner's record becomes `steer`, steer_next goes
 *
 * The winner is steer_next if its generation rules, else `steer`: so that settling is
 * also what undoes an apply that has failed or was killed, and every command that opens
 * the instance to write begins with it. What the NIC refuses is a warning and not
 * remembered: the policy works without.
 */
#include <stdbool.h>

#include <cjson/cJSON.h>

#include "loader/instance.h"
#include "loader/policy/policy.h"

struct shunt_steering {
	const struct shunt_policy *policy;
	uint64_t generation; /* of the policy */
	bool sockets;	     /* it will have XDP, and with it queues to steer to */
};

/* `notes` gets warnings, where there are any. Under the lock, the pins' folder made. */
SHUNT_MUST_CHECK int shunt_steer_stage(const struct shunt_instance *instance,
				       const struct shunt_steering *steering,
				       cJSON *notes, struct shunt_err *err);

struct shunt_settling {
	const struct shunt_state *state; /* of the policy that rules */
	bool again;   /* look at the NIC even if nothing was under way */
	cJSON *notes; /* NULL: nobody listens */
};

SHUNT_MUST_CHECK int shunt_steer_settle(const struct shunt_instance *instance,
					const struct shunt_settling *settling,
					struct shunt_err *err);

/* Takes all out that an instance, by its name, has put in; its pins stay. */
SHUNT_MUST_CHECK int shunt_steer_remove(const char *instance, struct shunt_err *err);

/* Adds "steering": {"filters", "settings"} to a reply. */
SHUNT_MUST_CHECK int shunt_steer_show(cJSON *reply, const char *instance,
				      struct shunt_err *err);

/*
 * Is a change of it not finished? On trial that is as it should be. The instance's record
 * is one that rules.
 */
bool shunt_steer_is_staged(const struct shunt_instance *instance);

/*
 * Calls tell() for each filter and setting of the record that the NIC does not have any
 * more. In the interface's namespace.
 */
void shunt_steer_lost(const struct shunt_instance *instance,
		      void (*tell)(void *ctx, const char *what), void *ctx);
