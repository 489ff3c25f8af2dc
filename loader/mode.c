/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/mode.h"

#include <string.h>

#define ROW(name) { name, true },
static const struct shunt_name xdp[] = {
	SHUNT_MODES_XDP(ROW, ){ SHUNT_MODE_CHAINED, false }, { NULL, 0 }
};
static const struct shunt_name tc[] = { SHUNT_MODES_TC(ROW, ){ NULL, 0 } };
static const struct shunt_name netfilter[] = { SHUNT_MODES_NETFILTER(ROW, ){ NULL,
									     0 } };
#undef ROW

const struct shunt_name *shunt_modes_of(enum shunt_hook hook)
{
	if (hook == SHUNT_HOOK_XDP)
		return xdp;
	return hook == SHUNT_HOOK_NETFILTER ? netfilter : tc;
}

bool shunt_mode_is_auto(const char *wanted)
{
	return !wanted || !strcmp(wanted, "auto");
}

bool shunt_mode_allows(const char *wanted, const char *mode)
{
	return shunt_mode_is_auto(wanted) || !strcmp(wanted, mode);
}

bool shunt_mode_fits(const char *wanted, enum shunt_hook hook)
{
	return shunt_mode_is_auto(wanted) ||
	       shunt_name_value(shunt_modes_of(hook), wanted) == true;
}
