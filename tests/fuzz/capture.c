/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures of arbitrary bytes: what is read of one is the same when written and read again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/io/pcapfile.h"
#include "user/io/pcapng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int sound)
{
	if (!sound)
		abort();
}

/* Paths of two files that lie in memory: what is read, and what is written. */
static const char *file_path(unsigned int which)
{
	static char path[2][64];
	static int fd[2];

	if (!*path[which]) {
		fd[which] = memfd_create("capture", 0);
		check(fd[which] >= 0);
		snprintf(path[which], sizeof(path[which]), "/proc/self/fd/%d",
			 fd[which]);
	}
	return path[which];
}

static void put(struct shunt_pcapng *file, const struct shunt_pcapfile_packet *from)
{
	struct shunt_pcapng_packet packet = { .time_ns = from->time_ns,
					      .bytes = from->bytes,
					      .captured = from->captured,
					      .len = from->len };

	check(!shunt_pcapng_put(file, &packet, NULL));
}

/* A pcap file has 32 bits of seconds. */
static uint64_t kept(uint64_t time_ns, enum shunt_pcapng_format format)
{
	return format == SHUNT_PCAPNG_NG
		       ? time_ns
		       : (time_ns / 1000000000u & 0xffffffffu) * 1000000000u +
				 time_ns % 1000000000u;
}

/* Both files from their beginnings: packet for packet the same. */
static void compare(uint64_t packets, enum shunt_pcapng_format format)
{
	struct shunt_pcapfile_packet a, b;
	struct shunt_pcapfile *one, *two;

	check(!shunt_pcapfile_open(&one, file_path(0), NULL));
	check(!shunt_pcapfile_open(&two, file_path(1), NULL));
	while (packets--) {
		check(shunt_pcapfile_next(one, &a, NULL) == 1);
		check(shunt_pcapfile_next(two, &b, NULL) == 1);
		check(a.number == b.number && a.captured == b.captured &&
		      a.len == b.len);
		check(kept(a.time_ns, format) == kept(b.time_ns, format));
		check(!memcmp(a.bytes, b.bytes, a.captured));
	}
	check(!shunt_pcapfile_next(two, &b, NULL));
	shunt_pcapfile_close(one);
	shunt_pcapfile_close(two);
}

static void copy(enum shunt_pcapng_format format)
{
	const struct shunt_pcapng_opts opts = { .sz = sizeof(opts), .format = format };
	struct shunt_pcapfile_packet packet;
	struct shunt_pcapfile *from;
	struct shunt_err err = { "" };
	struct shunt_pcapng *to;
	uint64_t packets = 0;
	int ret = shunt_pcapfile_open(&from, file_path(0), &err);

	check(!ret == !*err.message);
	if (ret)
		return;
	check(!shunt_pcapng_open(&to, file_path(1), &opts, NULL));
	while ((ret = shunt_pcapfile_next(from, &packet, &err)) == 1) {
		check(packet.number == packets + 1);
		if (packet.captured > SHUNT_PCAPNG_SNAP || packet.len < packet.captured)
			break; /* libpcap gives what no writer would */
		put(to, &packet);
		packets++;
	}
	check(ret >= 0 || (ret == -EINVAL && *err.message));
	check(!shunt_pcapng_close(to, NULL));
	shunt_pcapfile_close(from);
	compare(packets, format);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = open(file_path(0), O_WRONLY | O_TRUNC | O_CLOEXEC);

	check(fd >= 0);
	check(write(fd, data, size) == (ssize_t)size);
	close(fd);
	copy(SHUNT_PCAPNG_NG);
	copy(SHUNT_PCAPNG_OLD);
	return 0;
}
