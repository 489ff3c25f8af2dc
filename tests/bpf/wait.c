/* SPDX-License-Identifier: BSD-2-Clause */
/* That programs are waited for before a slot is written anew, or a counter is cleared. */

/*
 * A packet that is on its way while policies are swapped still reads the image, the sets
 * and the counters of the one that it was judged by. No load makes that race happen within
 * a test's time, so it is the order that is looked at: the kernel waits for programs when a
 * map of sets is changed (loader/sets.h), which is where this test looks in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bpf/rig_group.h"
#include "tests/model/fixture.h"
#include "tests/model/text.h"

#define IMAGE_MAX (1u << 20) /* of the policies here */

#define FIRST POLICY(PASSING, RULES(RULE("a", "\"dport\":1", "\"drop\"")))
#define SECOND POLICY(PASSING, RULES(RULE("b", "\"dport\":2", "\"drop\"")))
#define THIRD POLICY(PASSING, RULES(RULE("c", "\"dport\":3", "\"drop\"")))
#define WITH_SET                                                                       \
	"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"sets\":{\"s\":{"        \
	"\"type\":\"prefix\",\"elements\":[\"192.0.2.0/24\"]}},\"rules\":[{\"name\":"  \
	"\"c\",\"match\":{\"src\":\"@s\"},\"action\":\"drop\"}]}"

/* What an apply has done so far, as its waits and changes of counters tell. */
static struct {
	uint64_t old;  /* the generation that rules before it */
	uint8_t *idle; /* what stands in the other slot, its generation aside */
	size_t bytes;
	bool before,
		after;	/* waited before the slot was written, and behind the flip */
	bool too_early; /* waited, or cleared, when the slot was written already */
	bool cleared, hasty; /* counters were; before programs had left */
} seen;

int __real_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts);

/* The slot holds what it held before the apply, and says that it is nobody's. */
static bool slot_is_untouched(void)
{
	const uint8_t *image = (uint8_t *)shunt_maps_image(&rig.maps, seen.old + 1);
	size_t at = offsetof(struct shunt_image, generation), behind = at + 8;

	return ((struct shunt_image *)image)->generation == 0 &&
	       !memcmp(image, seen.idle, at) &&
	       !memcmp(image + behind, seen.idle + behind, seen.bytes - behind);
}

int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count, const struct bpf_map_batch_opts *opts)
{
	bool flipped = rig.maps.gen->word != seen.old;
	int ret = __real_bpf_map_update_batch(fd, keys, values, count, opts);

	if (fd == rig.maps.fd[SHUNT_MAP_COUNTER]) {
		seen.cleared = true;
		seen.hasty |= !seen.after;
	} else if (flipped) {
		seen.after = true;
	} else if (seen.bytes) {
		seen.before |= slot_is_untouched();
		seen.too_early |= !slot_is_untouched();
	}
	return ret;
}

static void apply(const char *text)
{
	struct shunt_policy *policy = shunt_fixture_policy(text);
	struct shunt_err err;

	assert_non_null(policy);
	if (shunt_rig_apply(&rig, policy, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(policy);
}

/* A rule of the ruling policy has decided something: its counter is to be cleared. */
static void count_one(void)
{
	const size_t cpus = libbpf_num_possible_cpus();
	struct shunt_counter *values = calloc(cpus, sizeof(*values));
	uint32_t key = shunt_counter_key(SHUNT_HOOK_XDP, rig.state->rule[0].counter);

	assert_non_null(values);
	values[0] = (struct shunt_counter){ 1, 60 };
	assert_int_equal(bpf_map_update_elem(rig.maps.fd[SHUNT_MAP_COUNTER], &key,
					     values, BPF_ANY),
			 0);
	free(values);
}

static void check_apply(const char *text)
{
	const struct shunt_image *idle;

	apply(FIRST);
	apply(SECOND);
	count_one();
	memset(&seen, 0, sizeof(seen));
	seen.old = rig.state->generation;
	idle = shunt_maps_image(&rig.maps, seen.old + 1);
	assert_in_range(idle->bytes, sizeof(*idle), IMAGE_MAX);
	seen.idle = malloc(idle->bytes);
	assert_non_null(seen.idle);
	memcpy(seen.idle, idle, idle->bytes);
	seen.bytes = idle->bytes;
	apply(text);
	free(seen.idle);
	seen.bytes = 0;
	assert_true(seen.before);
	assert_false(seen.too_early);
	assert_true(seen.after);
	assert_true(seen.cleared);
	assert_false(seen.hasty);
}

static void programs_have_left_before_a_slot_or_a_counter_is_used_again(void **ctx)
{
	(void)ctx;
	check_apply(THIRD);
}

static void so_they_have_where_the_policy_has_sets(void **ctx)
{
	(void)ctx;
	check_apply(WITH_SET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			programs_have_left_before_a_slot_or_a_counter_is_used_again),
		cmocka_unit_test(so_they_have_where_the_policy_has_sets),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
