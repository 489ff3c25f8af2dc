/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/pcap.h"

#include <errno.h>
#include <poll.h>

#include "user/io/pcapfile.h"

static void cleanup_file(struct shunt_pcapfile **file)
{
	shunt_pcapfile_close(*file);
}

static int wait_for(struct shunt_pcapfile *file, struct shunt_err *err)
{
	struct pollfd fd = { .fd = shunt_pcapfile_fd(file), .events = POLLIN };

	if (poll(&fd, 1, -1) < 0 && errno != EINTR)
		return shunt_fail_errno(err, -errno, "wait for packets");
	return 0;
}

static int read_all(struct shunt_pcapfile *file, shunt_pcap_fn *each, void *self,
		    struct shunt_err *err)
{
	struct shunt_pcapfile_packet packet;
	int ret;

	while ((ret = shunt_pcapfile_next(file, &packet, err))) {
		if (ret == 1)
			ret = each(self, packet.number, packet.bytes, packet.captured,
				   err);
		else if (ret == -EAGAIN)
			ret = wait_for(file, err);
		else
			return shunt_fail_in(err, ret, "--pcap ");
		if (ret)
			return ret;
	}
	return 0;
}

int shunt_pcap_each(const char *path, shunt_pcap_fn *each, void *self,
		    struct shunt_err *err)
{
	struct shunt_pcapfile *file __attribute__((cleanup(cleanup_file))) = NULL;
	int ret = shunt_pcapfile_open(&file, path, err);

	return ret ? shunt_fail_in(err, ret, "--pcap ")
		   : read_all(file, each, self, err);
}
