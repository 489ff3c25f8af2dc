/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/hookpin.h"

#include <errno.h>
#include <stdio.h>

#include <bpf/bpf.h>

#include "loader/program.h"
#include "user/base/cleanup.h"

void shunt_hookpin_path(char path[SHUNT_PIN_MAX], const char *instance,
			enum shunt_hook hook, const char *suffix)
{
	char leaf[32];

	snprintf(leaf, sizeof(leaf), "%s%s", shunt_hook_name(hook), suffix);
	shunt_pin_path(path, instance, "progs", leaf);
}

int shunt_hookpin_ask(const char *instance, enum shunt_hook hook, const char *suffix,
		      uint32_t *id, struct shunt_err *err)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	char path[SHUNT_PIN_MAX];

	*id = 0;
	shunt_hookpin_path(path, instance, hook, suffix);
	_fd_ int fd = bpf_obj_get(path);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, -errno, "ask for the program %s", path);
	*id = info.id;
	return 0;
}

void shunt_hookpin_link_path(char path[SHUNT_PIN_MAX], const char *instance,
			     enum shunt_hook hook)
{
	shunt_pin_path(path, instance, "links", shunt_hook_name(hook));
}

int shunt_hookpin_ask_link(const char *instance, enum shunt_hook hook, uint32_t *id,
			   bool *sits, struct shunt_err *err)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[SHUNT_PIN_MAX];

	*id = 0;
	*sits = false;
	shunt_hookpin_link_path(path, instance, hook);
	_fd_ int fd = bpf_obj_get(path);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return shunt_fail_errno(err, -errno, "ask for the link %s", path);
	*id = info.prog_id;
	/* they begin with the interface, which is 0 once it is gone, or with a family */
	*sits = info.xdp.ifindex;
	return 0;
}

int shunt_hookpin_note_qdisc(const char *instance, enum shunt_hook hook,
			     struct shunt_err *err)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];

	shunt_hookpin_path(from, instance, hook, "");
	shunt_hookpin_path(to, instance, hook, "_qdisc");
	_fd_ int fd = bpf_obj_get(from);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "open the pin %s", from);
	return shunt_pin_put(fd, to, err);
}
