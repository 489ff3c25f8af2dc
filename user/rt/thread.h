/* SPDX-License-Identifier: BSD-2-Clause */
/* A small number for each living thread, by which it finds what is its own. */
#pragma once

/*
 * A thread takes the lowest free number when it first asks, and gives it back when it
 * ends; the next one to have it finds what it left. There are more threads than numbers
 * in no program that runs one thread a core; those who get none have SHUNT_THREADS.
 */
#define SHUNT_THREADS 64u
#define SHUNT_THREAD_UNASKED (~0u)

/* Initial-exec: read without a call, also in a shared library. */
extern _Thread_local unsigned int shunt_thread_taken
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The slow half of shunt_thread_number(). */
unsigned int shunt_thread_take(void);

/* This thread's; SHUNT_THREADS: none was free. */
static inline unsigned int shunt_thread_number(void)
{
	unsigned int number = shunt_thread_taken;

	return number == SHUNT_THREAD_UNASKED ? shunt_thread_take() : number;
}
