/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool of our own memory: each frame is out once, and none is lost. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/base/cleanup.h"
#include "user/rt/check.h"
#include "user/rt/depot.h"
#include "user/rt/pool.h"

#define DEADLINE_S 100 /* threads that wait for each other end the test */

static struct shunt_memory *open_memory(uint32_t frames)
{
	struct shunt_memory_opts opts = { .sz = sizeof(opts),
					  .frames = frames,
					  .frame_bytes = 2048 };
	struct shunt_memory *memory;
	struct shunt_err err = { 0 };

	if (shunt_memory_open(&memory, &opts, &err))
		fail_msg("%s", err.message);
	return memory;
}

/* Who holds a frame, by number: 0 nobody. */
struct ledger {
	struct shunt_memory *memory;
	_Atomic uint8_t *held;
	_Atomic uint32_t out;
};

static struct ledger open_ledger(uint32_t frames)
{
	struct ledger ledger = { .memory = open_memory(frames),
				 .held = calloc(frames, 1) };

	assert_non_null(ledger.held);
	return ledger;
}

static void close_ledger(struct ledger *ledger)
{
	free(ledger->held);
	shunt_memory_close(ledger->memory);
}

static void note_frame(struct ledger *ledger, const struct shunt_frame *frame, int out)
{
	struct shunt_memory *memory = ledger->memory;

	assert_true(frame->token < memory->frames);
	assert_ptr_equal(frame->pool, &memory->pool);
	assert_int_equal(atomic_exchange(&ledger->held[frame->token], out), !out);
	if (!out)
		return;
	assert_ptr_equal(frame->data,
			 memory->area + frame->token * 2048 + SHUNT_MEMORY_HEADROOM);
	assert_int_equal(frame->len, 0);
	assert_int_equal(frame->flags, 0);
}

static uint32_t get(struct ledger *ledger, struct shunt_frame *frames, uint32_t n)
{
	uint32_t got = shunt_pool_get(&ledger->memory->pool, frames, n), i;

	assert_true(got <= n);
	for (i = 0; i < got; i++)
		note_frame(ledger, &frames[i], 1);
	atomic_fetch_add(&ledger->out, got);
	return got;
}

static void put(struct ledger *ledger, const struct shunt_frame *frames, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		note_frame(ledger, &frames[i], 0);
	atomic_fetch_sub(&ledger->out, n);
	shunt_frames_put(frames, n);
}

/* All that are not out can be got, at once; then they are back again. */
static void expect_all(struct ledger *ledger)
{
	uint32_t all = ledger->memory->frames - ledger->out;
	_free_ struct shunt_frame *frames = calloc(all + 1, sizeof(*frames));

	assert_non_null(frames);
	assert_int_equal(get(ledger, frames, all + 1), all);
	assert_int_equal(shunt_memory_free_frames(ledger->memory), 0);
	put(ledger, frames, all);
	assert_int_equal(shunt_memory_free_frames(ledger->memory), all);
}

static void it_does_what_the_model_does(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 7, 64, 128, 130, 1000, 5000 };
	struct shunt_random r = { shunt_random_seed(54) };
	struct shunt_frame *held = calloc(5000, sizeof(*held));
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct ledger ledger = open_ledger(sizes[i]);
		uint32_t step, n = 0;

		expect_all(&ledger);
		for (step = 0; step < 2000; step++) {
			uint32_t some = shunt_random_below(&r, 700), want;

			if (shunt_random_one_in(&r, 2)) {
				want = sizes[i] - n < some ? sizes[i] - n : some;
				if (n + some > sizes[i])
					some = want + 1 <= 5000 - n ? want + 1 : want;
				assert_int_equal(get(&ledger, held + n, some), want);
				n += want;
			} else {
				/* From anywhere, not the last ones. */
				some = n < some ? n : some;
				want = shunt_random_in(&r, 0, n - some);
				put(&ledger, held + want, some);
				memmove(held + want, held + want + some,
					(n - want - some) * sizeof(*held));
				n -= some;
			}
			assert_int_equal(shunt_memory_free_frames(ledger.memory),
					 sizes[i] - n);
		}
		put(&ledger, held, n);
		close_ledger(&ledger);
	}
	free(held);
}

/* --- threads ------------------------------------------------------------------------- */

/* Where threads lay frames down, and take up those of others. */
#define PLACES 64
struct market {
	struct ledger *ledger;
	pthread_mutex_t lock[PLACES];
	struct shunt_frame frames[PLACES][SHUNT_BURST];
	uint32_t n[PLACES];
	uint32_t steps;
	_Atomic uint32_t seed;
};

/* Swaps what it holds for what lies in some place. */
static uint32_t swap(struct market *market, uint32_t place, struct shunt_frame *mine,
		     uint32_t n)
{
	struct shunt_frame others[SHUNT_BURST];
	uint32_t there;

	pthread_mutex_lock(&market->lock[place]);
	there = market->n[place];
	memcpy(others, market->frames[place], there * sizeof(*others));
	memcpy(market->frames[place], mine, n * sizeof(*mine));
	market->n[place] = n;
	pthread_mutex_unlock(&market->lock[place]);
	memcpy(mine, others, there * sizeof(*mine));
	return there;
}

static void *trade(void *arg)
{
	struct market *market = arg;
	struct shunt_random r = { atomic_fetch_add(&market->seed, 1) };
	struct shunt_frame mine[SHUNT_BURST];
	uint32_t step, n;

	for (step = 0; step < market->steps; step++) {
		n = get(market->ledger, mine, shunt_random_in(&r, 0, SHUNT_BURST));
		n = swap(market, shunt_random_below(&r, PLACES), mine, n);
		put(market->ledger, mine, n);
		if (shunt_random_one_in(&r, 50))
			sched_yield();
	}
	return NULL;
}

static void run_market(struct ledger *ledger, uint32_t threads, uint32_t steps)
{
	struct market *market = calloc(1, sizeof(*market));
	pthread_t thread[128];
	uint32_t i;

	assert_non_null(market);
	*market = (struct market){ .ledger = ledger, .steps = steps };
	for (i = 0; i < PLACES; i++)
		pthread_mutex_init(&market->lock[i], NULL);
	alarm(DEADLINE_S);
	for (i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, trade, market), 0);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	alarm(0);
	for (i = 0; i < PLACES; i++)
		put(ledger, market->frames[i], market->n[i]);
	assert_int_equal(ledger->out, 0);
	free(market);
	expect_all(ledger);
}

static void several_threads_share_a_pool(void **state)
{
	static const uint32_t sizes[] = { 100, 600, 1500, 4096 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct ledger ledger = open_ledger(sizes[i]);

		run_market(&ledger, 5, 3000);
		close_ledger(&ledger);
	}
}

static void without_membarrier_it_is_the_same(void **state)
{
	struct ledger ledger = open_ledger(900);

	(void)state;
	ledger.memory->depot->fenced = true;
	run_market(&ledger, 5, 3000);
	close_ledger(&ledger);
}

static void more_threads_than_numbers_share_it_too(void **state)
{
	struct ledger ledger = open_ledger(2000);

	(void)state;
	run_market(&ledger, SHUNT_THREADS + 20, 60);
	run_market(&ledger, 2, 60); /* the numbers are free again */
	close_ledger(&ledger);
}

/* --- frames in other threads' caches --------------------------------------------------- */

struct hoarder {
	struct ledger *ledger;
	pthread_barrier_t cached, done;
	unsigned int number;
	bool stays;
	_Atomic bool ends;
};

/* Caches frames; then it ends, or sleeps. */
static void *hoard(void *arg)
{
	struct hoarder *hoarder = arg;
	struct shunt_frame frames[100];

	hoarder->number = shunt_thread_number();
	put(hoarder->ledger, frames, get(hoarder->ledger, frames, 100));
	if (hoarder->stays) {
		pthread_barrier_wait(&hoarder->cached);
		pthread_barrier_wait(&hoarder->done);
		/* Its cache was closed meanwhile: it works all the same, and comes back
		 * into use. */
		put(hoarder->ledger, frames, get(hoarder->ledger, frames, 100));
		put(hoarder->ledger, frames, get(hoarder->ledger, frames, 100));
	}
	return NULL;
}

static uint32_t cached_by(const struct hoarder *hoarder)
{
	return hoarder->ledger->memory->depot->caches[hoarder->number].n;
}

static void what_a_thread_has_cached_that_ended_is_found(void **state)
{
	struct ledger ledger = open_ledger(4096);
	struct hoarder hoarder = { .ledger = &ledger };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, hoard, &hoarder), 0);
	pthread_join(thread, NULL);
	assert_true(cached_by(&hoarder) >= 100);
	expect_all(&ledger);
	assert_int_equal(cached_by(&hoarder), 0);
	close_ledger(&ledger);
}

static void what_a_sleeping_thread_has_cached_is_found(void **state)
{
	struct ledger ledger = open_ledger(4096);
	struct hoarder hoarder = { .ledger = &ledger, .stays = true };
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&hoarder.cached, NULL, 2);
	pthread_barrier_init(&hoarder.done, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, hoard, &hoarder), 0);
	pthread_barrier_wait(&hoarder.cached);
	assert_true(cached_by(&hoarder) >= 100);
	expect_all(&ledger);
	assert_int_equal(cached_by(&hoarder), 0);
	pthread_barrier_wait(&hoarder.done);
	pthread_join(thread, NULL);
	assert_true(cached_by(&hoarder) >= 100);
	expect_all(&ledger);
	pthread_barrier_destroy(&hoarder.cached);
	pthread_barrier_destroy(&hoarder.done);
	close_ledger(&ledger);
}

/* Works on its cache without a break, while another closes it again and again. */
static void *work_on_cache(void *arg)
{
	struct hoarder *owner = arg;
	struct shunt_frame frames[2];

	while (!owner->ends)
		put(owner->ledger, frames, get(owner->ledger, frames, 2));
	return NULL;
}

static void a_cache_is_closed_while_its_owner_works_on_it(void **state)
{
	struct ledger ledger = open_ledger(256);
	struct hoarder owner = { .ledger = &ledger };
	struct shunt_frame frames[256];
	pthread_t thread;
	uint32_t i;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, work_on_cache, &owner), 0);
	for (i = 0; i < (SHUNT_CHECK ? 2000u : 20000u); i++)
		put(&ledger, frames, get(&ledger, frames, 256));
	owner.ends = true;
	pthread_join(thread, NULL);
	expect_all(&ledger);
	close_ledger(&ledger);
}

/* --- what must not be ---------------------------------------------------------------- */

/* Does it abort? In a process of its own. */
static bool aborts(void (*crime)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		crime();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void put_once(void)
{
	struct shunt_memory *memory = open_memory(8);
	struct shunt_frame frame;

	if (shunt_pool_get(&memory->pool, &frame, 1) == 1)
		shunt_frames_put(&frame, 1);
}

static void put_twice(void)
{
	struct shunt_memory *memory = open_memory(8);
	struct shunt_frame frame;

	if (shunt_pool_get(&memory->pool, &frame, 1) == 1)
		shunt_frames_put(&frame, 1);
	shunt_frames_put(&frame, 1);
}

/* Only builds with sanitizers look at each frame: here no stack runs over. */
static void put_twice_unseen(void)
{
	struct shunt_memory *memory = open_memory(4096);
	struct shunt_frame frames[2];

	if (shunt_pool_get(&memory->pool, frames, 2) == 2)
		shunt_frames_put(frames, 1);
	shunt_frames_put(frames, 1);
}

static void what_is_given_back_twice_aborts(void **state)
{
	(void)state;
	assert_false(aborts(put_once));
	assert_true(aborts(put_twice));
	assert_int_equal(aborts(put_twice_unseen), SHUNT_CHECK);
}

static void frames_go_back_to_their_own_pools(void **state)
{
	struct ledger a = open_ledger(100), b = open_ledger(200);
	struct shunt_frame frames[50];
	uint32_t i;

	(void)state;
	for (i = 0; i < 50; i++) {
		if (i % 7 == 6) {
			frames[i] = (struct shunt_frame){ .token = 5000 };
			continue;
		}
		assert_int_equal(shunt_pool_get(i % 3 ? &a.memory->pool
						      : &b.memory->pool,
						&frames[i], 1),
				 1);
	}
	assert_true(shunt_memory_free_frames(a.memory) < 100);
	shunt_frames_put(frames, 50);
	expect_all(&a);
	expect_all(&b);
	assert_ptr_equal(shunt_memory_of(&a.memory->pool), a.memory);
	close_ledger(&a);
	close_ledger(&b);
}

static void what_no_pool_can_be_is_refused(void **state)
{
	static const struct {
		uint64_t frames, frame_bytes;
		const char *why;
	} rows[] = {
		{ 1ull << 33, 0, "a pool of 8589934592 frames: there may be 16777216" },
		{ 0, 512,
		  "frames of 512 bytes: with their headroom of 256 they take 513 to "
		  "1048576" },
		{ 0, 1ull << 32,
		  "frames of 4294967296 bytes: with their headroom of 256 they take "
		  "513 to 1048576" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_memory_opts opts = { .sz = sizeof(opts),
						  .frames = rows[i].frames,
						  .frame_bytes = rows[i].frame_bytes };
		struct shunt_memory *memory;
		struct shunt_err err;

		assert_int_equal(shunt_memory_open(&memory, &opts, &err), -EINVAL);
		assert_string_equal(err.message, rows[i].why);
		assert_null(memory);
	}
}

/* Kilobytes of the pages that hold an address. */
static long page_kb(const void *at)
{
	_file_ FILE *maps = fopen("/proc/self/smaps", "re");
	uintptr_t from = 0, to = 0;
	char line[512];
	long kb;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to);
		if ((uintptr_t)at >= from && (uintptr_t)at < to &&
		    sscanf(line, "KernelPageSize: %ld", &kb) == 1)
			return kb;
	}
	return -1;
}

static void huge_pages_are_used_where_there_are_any(void **state)
{
	struct shunt_memory_opts opts = { .sz = sizeof(opts), .huge = 1 };
	struct shunt_memory *memory;

	(void)state;
	assert_int_equal(shunt_memory_open(&memory, &opts, NULL), 0);
	assert_int_equal(memory->frames, SHUNT_MEMORY_FRAMES);
	memset(memory->area, 1, memory->bytes);
	/* What it says that it got is what the kernel says. */
	assert_int_equal(page_kb(memory->area) > 4, memory->huge);
	shunt_memory_close(memory);
	shunt_memory_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_the_model_does),
		cmocka_unit_test(several_threads_share_a_pool),
		cmocka_unit_test(without_membarrier_it_is_the_same),
		cmocka_unit_test(more_threads_than_numbers_share_it_too),
		cmocka_unit_test(what_a_thread_has_cached_that_ended_is_found),
		cmocka_unit_test(what_a_sleeping_thread_has_cached_is_found),
		cmocka_unit_test(a_cache_is_closed_while_its_owner_works_on_it),
		cmocka_unit_test(what_is_given_back_twice_aborts),
		cmocka_unit_test(frames_go_back_to_their_own_pools),
		cmocka_unit_test(what_no_pool_can_be_is_refused),
		cmocka_unit_test(huge_pages_are_used_where_there_are_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
