/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files of Ethernet frames, read packet by packet: pcap and pcapng. */
#pragma once

/*
 * Reading is libpcap's, which knows both formats, their byte orders and units of time.
 * From a pipe only what has come is read; the rest of a packet is waited for once its
 * beginning is there. One thread at a time uses a file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

struct shunt_pcapfile;

/* "-" is standard input. -EINVAL: it is no capture, or not of Ethernet frames. */
SHUNT_MUST_CHECK int shunt_pcapfile_open(struct shunt_pcapfile **file, const char *path,
					 struct shunt_err *err);

/* NULL is fine. */
void shunt_pcapfile_close(struct shunt_pcapfile *file);

struct shunt_pcapfile_packet {
	uint64_t number;      /* its place in the file, from 1 */
	uint64_t time_ns;     /* since 1970 */
	const uint8_t *bytes; /* the file's, until the next one is read */
	uint32_t captured;    /* how many of them there are */
	uint32_t len;	      /* of the packet, when it was on the wire */
};

/*
 * 1: a packet; 0: the file is over; -EAGAIN: nothing has come through the pipe yet;
 * -EINVAL: the file is damaged, and the sentence says behind which packet.
 */
SHUNT_MUST_CHECK int shunt_pcapfile_next(struct shunt_pcapfile *file,
					 struct shunt_pcapfile_packet *packet,
					 struct shunt_err *err);

/* May it be read again from its beginning? A pipe may not. */
bool shunt_pcapfile_rewinds(const struct shunt_pcapfile *file);

/* Back to the first packet. */
SHUNT_MUST_CHECK int shunt_pcapfile_rewind(struct shunt_pcapfile *file,
					   struct shunt_err *err);

/* For poll(), after -EAGAIN. */
int shunt_pcapfile_fd(const struct shunt_pcapfile *file);
