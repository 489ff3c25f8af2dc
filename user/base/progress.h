/* SPDX-License-Identifier: BSD-2-Clause */
/* Long work says how far it has come, to whoever wants to know. */
#pragma once

#include <stddef.h>

#include "user/base/err.h"

/* `what` names the work ("fill set bogons"); done reaches total at its end. */
typedef void (*shunt_progress_fn)(const char *what, size_t done, size_t total);

/* Whom the calling thread's work tells; NULL (the default): nobody. */
SHUNT_API void shunt_progress_to(shunt_progress_fn listener);

void shunt_progress(const char *what, size_t done, size_t total);
