/* SPDX-License-Identifier: BSD-2-Clause */
/* A capture that may be spread over files: a new one after so many bytes or so long. */
#pragma once

/*
 *     open ─▶ put, tick, put, …  (cap-000001.pcapng, cap-000002.pcapng, …) ─▶ close
 *
 * Each file stands by itself: it names the interface, and ends with the statistics of the
 * time in which it was written. Where only the last ones are to be kept, the oldest is
 * removed once there is one too many.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/io/pcapng.h"

struct shunt_record_file_opts {
	const char *path;   /* "-" is standard output */
	const char *source; /* the interface or port that packets come from */
	const char *about;  /* of it, or of what is recorded; NULL: nothing */
	uint64_t
		most_bytes; /* a file that has so many is the last one's; 0: no limit */
	uint64_t most_ns;   /* a file that is so old is, too; 0: no limit */
	uint64_t keep;	    /* files; 0: all */
};

/* What has been seen since the first file was opened. */
struct shunt_record_seen {
	uint64_t received; /* packets that came here */
	uint64_t accepted; /* that were wanted, and written */
	uint64_t lost;	   /* that the kernel had no room for */
};

struct shunt_record_file;

/* -EINVAL: standard output cannot be spread over files. */
SHUNT_MUST_CHECK int shunt_record_file_open(struct shunt_record_file **file,
					    const struct shunt_record_file_opts *opts,
					    struct shunt_err *err);

/* Adds a packet, to a new file where it is time for one. */
SHUNT_MUST_CHECK int shunt_record_file_put(struct shunt_record_file *file,
					   const struct shunt_pcapng_packet *packet,
					   const struct shunt_record_seen *seen,
					   struct shunt_err *err);

/* Hands everything to the kernel; begins a new file where it is time for one. */
SHUNT_MUST_CHECK int shunt_record_file_tick(struct shunt_record_file *file,
					    const struct shunt_record_seen *seen,
					    struct shunt_err *err);

/* The name of the file that is written now, and how many there have been. */
const char *shunt_record_file_name(const struct shunt_record_file *file);
uint64_t shunt_record_file_count(const struct shunt_record_file *file);

/* Ends the last one with its statistics. NULL is fine; the first error is returned. */
SHUNT_MUST_CHECK int shunt_record_file_close(struct shunt_record_file *file,
					     const struct shunt_record_seen *seen,
					     struct shunt_err *err);
