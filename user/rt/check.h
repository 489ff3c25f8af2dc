/* SPDX-License-Identifier: BSD-2-Clause */
/* Invariants that are too dear to look at for every frame: builds with sanitizers do. */
#pragma once

#include <assert.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHUNT_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHUNT_CHECK 1
#endif
#endif
#ifndef SHUNT_CHECK
#define SHUNT_CHECK 0
#endif

#if SHUNT_CHECK
#define shunt_check(invariant) assert(invariant)
#else
#define shunt_check(invariant) ((void)0)
#endif
