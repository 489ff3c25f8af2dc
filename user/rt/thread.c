/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/thread.h"

#include <pthread.h>
#include <stdint.h>

_Thread_local unsigned int shunt_thread_taken = SHUNT_THREAD_UNASKED;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t taken; /* a bit for each number */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* As a thread ends. What other destructors still ask for gets a number anew. */
static void leave(void *value)
{
	(void)value;
	pthread_mutex_lock(&lock);
	taken &= ~(UINT64_C(1) << shunt_thread_taken);
	pthread_mutex_unlock(&lock);
	shunt_thread_taken = SHUNT_THREAD_UNASKED;
}

static void make_key(void)
{
	pthread_key_create(&key, leave);
}

unsigned int shunt_thread_take(void)
{
	unsigned int number = SHUNT_THREADS;

	pthread_once(&once, make_key);
	pthread_mutex_lock(&lock);
	if (taken != UINT64_MAX) {
		number = (unsigned int)__builtin_ctzll(~taken);
		taken |= UINT64_C(1) << number;
	}
	pthread_mutex_unlock(&lock);
	if (number < SHUNT_THREADS)
		pthread_setspecific(key, &taken); /* anything but NULL */
	shunt_thread_taken = number;
	return number;
}
