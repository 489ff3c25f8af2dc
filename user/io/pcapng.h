/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files, written packet by packet: pcapng, or pcap for older readers. */
#pragma once

/*
 *     open ─▶ interface()… ─▶ put(), put(), … flush() … stats() ─▶ close
 *
 * A file is a row of whole packets at any time: they are gathered in memory and written
 * when it is full, or by flush. Where the disk is full (or a limit is reached), what was
 * written of the last packet is cut off again, the call that noticed says so, and so does
 * every later one; the file stays readable. Into a pipe nothing can be taken back.
 *
 * Rotating: shunt_pcapng_bytes() says how long it is; close it and open the next one.
 *
 * Formats: draft-ietf-opsawg-pcapng (sections, interfaces, enhanced packets, interface
 * statistics; times in nanoseconds) and draft-ietf-opsawg-pcap (nanosecond variant), in
 * this machine's byte order, which readers recognise. One thread at a time uses a file.
 */
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_PCAPNG_SNAP 262144u  /* longest packet: libpcap's own maximum */
#define SHUNT_PCAPNG_COMMENT 4096u /* bytes; what is longer is cut */

enum shunt_pcapng_format {
	SHUNT_PCAPNG_NG,  /* pcapng */
	SHUNT_PCAPNG_OLD, /* pcap: bytes and times alone, no options, one interface */
};

struct shunt_pcapng_opts {
	size_t sz;
	enum shunt_pcapng_format format;
	const char *comment; /* of the whole file; NULL: none */
};

struct shunt_pcapng;

/* Makes the file, or empties it; "-" is standard output. */
SHUNT_MUST_CHECK int shunt_pcapng_open(struct shunt_pcapng **file, const char *path,
				       const struct shunt_pcapng_opts *opts,
				       struct shunt_err *err);

/* The format that a name asks for: NG where it ends in ".pcapng". */
enum shunt_pcapng_format shunt_pcapng_format_of(const char *path);

/*
 * An interface that packets come from, numbered from 0 in the order of calls; Ethernet.
 * Without a call before the first packet there is one without a name. Returns the number
 * or -errno; -EINVAL: an OLD file has no names.
 */
SHUNT_MUST_CHECK int shunt_pcapng_interface(struct shunt_pcapng *file, const char *name,
					    const char *description,
					    struct shunt_err *err);

/* epb_verdict says who judged; where there is none, the options are left out. */
enum shunt_pcapng_judge {
	SHUNT_PCAPNG_UNJUDGED,
	SHUNT_PCAPNG_TC,  /* `verdict` is a TC_ACT_… */
	SHUNT_PCAPNG_XDP, /* `verdict` is an XDP_… */
};

enum shunt_pcapng_way { SHUNT_PCAPNG_ANY, SHUNT_PCAPNG_IN, SHUNT_PCAPNG_OUT };

/* All but the first group may be zero. */
struct shunt_pcapng_packet {
	uint64_t time_ns;     /* since 1970 */
	const uint8_t *bytes; /* from the Ethernet header on */
	uint32_t captured;    /* how many of them there are */
	uint32_t len;	      /* of the packet, when it was on the wire */

	uint32_t interface;
	const char *comment; /* "rule=web verdict=drop reason=limit"; NULL: none */
	enum shunt_pcapng_way way;
	uint64_t lost; /* packets lost between this one and the one before it */
	int queue_known;
	uint32_t queue;
	enum shunt_pcapng_judge judge;
	uint64_t verdict;
};

/* Adds a packet. -ENOSPC, -EPIPE, …: the file ends with a packet before it. */
SHUNT_MUST_CHECK int shunt_pcapng_put(struct shunt_pcapng *file,
				      const struct shunt_pcapng_packet *packet,
				      struct shunt_err *err);

/* What is known of an interface at some moment; the last such block counts. */
struct shunt_pcapng_stats {
	uint64_t time_ns;   /* of these numbers, since 1970 */
	uint64_t start_ns;  /* of the capture; 0: not told */
	uint64_t received;  /* seen by the program */
	uint64_t accepted;  /* by the filter */
	uint64_t dropped;   /* by the kernel, for want of room */
	uint64_t delivered; /* to us */
};

/* Into an OLD file nothing is written. */
SHUNT_MUST_CHECK int shunt_pcapng_stats(struct shunt_pcapng *file, uint32_t interface,
					const struct shunt_pcapng_stats *stats,
					struct shunt_err *err);

/* Hands everything to the kernel. */
SHUNT_MUST_CHECK int shunt_pcapng_flush(struct shunt_pcapng *file,
					struct shunt_err *err);

/* How long the file is, with what waits in memory. */
uint64_t shunt_pcapng_bytes(const struct shunt_pcapng *file);

/* Flushes and closes; the first error of the file, if there was one. NULL is fine. */
SHUNT_MUST_CHECK int shunt_pcapng_close(struct shunt_pcapng *file,
					struct shunt_err *err);
