/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/given.h"

#include <string.h>

const struct shunt_given *shunt_given_find(const struct shunt_givens *givens,
					   const char *name)
{
	for (size_t i = 0; i < givens->n; i++)
		if (!strcmp(givens->at[i].name, name))
			return &givens->at[i];
	return NULL;
}
