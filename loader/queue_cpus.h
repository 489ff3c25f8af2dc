/* SPDX-License-Identifier: BSD-2-Clause */
/* Which CPUs work for a queue: receive and transmit packet steering (RPS and XPS). */
#pragma once

/*
 * The kernel has these settings in sysfs alone, and each sysfs shows the interfaces of one
 * network namespace: that of whoever mounted it. Hence one of our own is opened in the
 * calling thread's namespace, mounted nowhere, and gone with its descriptor. See
 * Documentation/networking/scaling.rst of the kernel.
 *
 * Settings are the kernel's own text, a hexadecimal mask of CPUs: "00000000,00000003".
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/policy/policy.h"
#include "user/base/err.h"

#define SHUNT_CPUS_TEXT 512 /* a mask of 1,800 CPUs */

enum shunt_queue_kind {
	SHUNT_QUEUE_RPS, /* a receive queue: who does the stack's work; 0: who polls it */
	SHUNT_QUEUE_XPS, /* a transmit queue: whose packets take it */
};

/* A descriptor of the namespace's sysfs, which the caller closes, or -errno. */
SHUNT_MUST_CHECK int shunt_sysfs_open(void);

/* -ENOENT: there is no such queue, or the kernel has no such setting. */
SHUNT_MUST_CHECK int shunt_queue_cpus_read(int sysfs, const char *interface,
					   enum shunt_queue_kind kind, uint32_t queue,
					   char text[SHUNT_CPUS_TEXT]);
SHUNT_MUST_CHECK int shunt_queue_cpus_write(int sysfs, const char *interface,
					    enum shunt_queue_kind kind, uint32_t queue,
					    const char *text);

void shunt_cpus_format(const uint64_t cpus[SHUNT_CPU_WORDS],
		       char text[SHUNT_CPUS_TEXT]);

/* Do two masks name the same CPUs, however many digits they have? */
bool shunt_cpus_same(const char *a, const char *b);

/* Does a mask name any? */
bool shunt_cpus_any(const char *text);
