/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of set files on arbitrary bytes; what it accepts must be sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/policy/policy.h"
#include "loader/policy/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* Written and read again, it is the same; so it is for the set's type. */
static void check_member(const struct shunt_prefix *p, enum shunt_set_type type)
{
	char text[SHUNT_PREFIX_TEXT];
	struct shunt_prefix again;

	check(!shunt_prefix_member(&again, shunt_prefix_format(p, text), type, NULL));
	check(!memcmp(&again, p, sizeof(again)));
	check((p->proto != 0) == (type == SHUNT_SET_SERVICE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("set", MFD_CLOEXEC), type;
	char path[32];

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (type = SHUNT_SET_ADDRESS; type <= SHUNT_SET_SERVICE; type++) {
		struct shunt_prefix *element = NULL;
		struct shunt_err err = { "" };
		size_t n = 0, i;
		int ret = shunt_set_file_read(path, type, &element, &n, &err);

		check(ret ? *err.message != 0 && strlen(err.message) < sizeof(err) : 1);
		check(!ret || (!element && !n));
		for (i = 0; !ret && i < n; i++) {
			check_member(&element[i], type);
			check(!i ||
			      shunt_prefix_compare(&element[i - 1], &element[i]) < 0);
		}
		free(element);
	}
	close(fd);
	return 0;
}
