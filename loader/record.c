/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/bpffs.h"
#include "user/base/cleanup.h"

int shunt_record_write(const char *text, const char *map, const char *path,
		       struct shunt_err *err)
{
	__u32 key = 0;
	int ret;

	_fd_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, map, sizeof(key),
				     strlen(text) + 1, 1, NULL);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "make a record of %zu bytes for %s",
					strlen(text) + 1, path);
	ret = bpf_map_update_elem(fd, &key, text, BPF_ANY);
	if (!ret)
		ret = bpf_map_freeze(fd);
	if (ret)
		return shunt_fail_errno(err, ret, "write the record %s", path);
	unlink(path);
	return shunt_pin_put(fd, path, err);
}

int shunt_record_read_map(char **text, int fd, const char *path, struct shunt_err *err)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, -errno, "read the record %s", path);
	_free_ char *read = calloc(1, info.value_size + 1);
	if (!read || bpf_map_lookup_elem(fd, &key, read))
		return shunt_fail_errno(err, read ? -errno : -ENOMEM,
					"read the record %s", path);
	*text = shunt_steal(&read);
	return 0;
}

int shunt_record_read(char **text, const char *path, struct shunt_err *err)
{
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "open the record %s", path);
	return shunt_record_read_map(text, fd, path, err);
}
