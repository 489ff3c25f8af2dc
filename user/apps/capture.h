/* SPDX-License-Identifier: BSD-2-Clause */
/* A pcap file that packets are written to, with nanosecond stamps. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "user/base/err.h"

struct shunt_capture;

/* "-" is standard output. */
SHUNT_MUST_CHECK int shunt_capture_open(struct shunt_capture **capture,
					const char *name, struct shunt_err *err);

/* NULL is fine. */
void shunt_capture_close(struct shunt_capture *capture);

/* Bytes that are there, of a frame of len bytes. Buffered; see the stream for errors. */
void shunt_capture_put(struct shunt_capture *capture, const struct timespec *when,
		       const uint8_t *bytes, uint32_t captured, uint32_t len);

/* What it is written to, for flushing and to look for errors; the capture's. */
FILE *shunt_capture_stream(const struct shunt_capture *capture);
