/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy reader: every example, precise results, and rough handling. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/name.h"
#include "loader/policy/policy.h"
#include "user/base/cleanup.h"

#define VALID "schemas/examples/valid"
#define INVALID "schemas/examples/invalid"
#define SCHEMA "schemas/policy.schema.json"
#define HEAD "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\""

/* --- helpers ----------------------------------------------------------------- */

static char *slurp(const char *path, size_t *len)
{
	_file_ FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	if (!f || !text)
		fail_msg("cannot read %s", path);
	*len = fread(text, 1, (1 << 20) - 1, f);
	return text;
}

static void show(const struct shunt_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		print_error("%s %s: %s\n", diags->at[i].warning ? "warning" : "error",
			    diags->at[i].pointer, diags->at[i].message);
}

/* Reads text that must be refused with exactly this one error. */
static void bad(const char *text, size_t len, const char *pointer, const char *part)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	assert_int_equal(shunt_policy_read(&policy, text, len, "p.json", &diags),
			 -EINVAL);
	assert_null(policy);
	if (diags.n != 1 || strcmp(diags.at[0].pointer, pointer) ||
	    !strstr(diags.at[0].message, part)) {
		show(&diags);
		fail_msg("wanted only \"%s\": ...%s...", pointer, part);
	}
	shunt_diags_free(&diags);
}

/* --- examples ---------------------------------------------------------------- */

static int is_policy(const struct dirent *entry)
{
	return strstr(entry->d_name, ".json") != NULL;
}

/* Takes the first diagnosis at `pointer` that says `part`; marks it by an empty
 * message. */
static bool take(struct shunt_diags *diags, bool warning, const char *pointer,
		 const char *part)
{
	for (size_t i = 0; i < diags->n; i++) {
		struct shunt_diag *at = &diags->at[i];

		if (at->warning != warning || strcmp(at->pointer, pointer) ||
		    !strstr(at->message, part))
			continue;
		*at->message = 0;
		return true;
	}
	return false;
}

/* Compares with the lines "// expect: pointer  words", "// warn: pointer  words". */
static size_t match_lines(const char *path, struct shunt_diags *diags)
{
	size_t len, lines = 0, errors = 0;
	_free_ char *text = slurp(path, &len);
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n"))) {
		bool warning = strncmp(line, "// warn: ", 9) == 0;
		char *pointer = line + (warning ? 9 : 11), *words;

		if (!warning && strncmp(line, "// expect: ", 11) != 0)
			break;
		words = strstr(pointer, "  ");
		assert_non_null(words);
		*words = 0;
		if (!take(diags, warning, pointer, words + 2)) {
			show(diags);
			fail_msg("%s: \"%s\" did not say: %s", path, pointer,
				 words + 2);
		}
		lines++;
		errors += !warning;
	}
	if (lines != diags->n) {
		show(diags);
		fail_msg("%s: %zu expected, %zu came", path, lines, diags->n);
	}
	return errors;
}

static size_t check_folder(const char *folder, bool valid)
{
	struct dirent **entry;
	int n = scandir(folder, &entry, is_policy, alphasort);

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		struct shunt_policy *policy = NULL;
		struct shunt_diags diags = { 0 };
		size_t errors;
		char path[512];
		int ret;

		snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name);
		ret = shunt_policy_read_file(&policy, path, &diags);
		errors = match_lines(path, &diags);
		assert_int_equal(ret, valid ? 0 : -EINVAL);
		assert_int_equal(errors, diags.errors);
		assert_true(valid ? policy && !errors : !policy && errors);
		if (policy)
			assert_string_equal(policy->source, path);
		shunt_policy_free(policy);
		shunt_diags_free(&diags);
		free(entry[i]);
	}
	free(entry);
	return n;
}

static void every_valid_example_is_read(void **ctx)
{
	(void)ctx;
	assert_true(check_folder(VALID, true) >= 25);
}

static void every_invalid_example_is_refused_for_its_reason_alone(void **ctx)
{
	(void)ctx;
	assert_true(check_folder(INVALID, false) >= 150);
}

/* --- names ------------------------------------------------------------------- */

/* The schema's list of names, checked off one by one. */
static void check_enum(const cJSON *defs, const char *name, const char *const *names,
		       size_t n)
{
	const cJSON *def = cJSON_GetObjectItemCaseSensitive(defs, name);
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(def, "enum"), *item;
	size_t at = 0;

	assert_non_null(list);
	cJSON_ArrayForEach(item, list)
	{
		assert_true(at < n);
		assert_string_equal(item->valuestring, names[at++]);
	}
	assert_int_equal(at, n);
}

static void the_schema_lists_the_names_that_the_reader_knows(void **ctx)
{
	size_t len, n = 0;
	_free_ char *text = slurp(SCHEMA, &len);
	_json_ cJSON *schema = cJSON_ParseWithLength(text, len);
	const cJSON *defs = cJSON_GetObjectItemCaseSensitive(schema, "$defs");
	const char *names[256];

	(void)ctx;
	for (const struct shunt_name *at = shunt_proto_names; at->name; at++)
		names[n++] = at->name;
	check_enum(defs, "proto_name", names, n);
	n = 0;
	for (const struct shunt_icmp_name *at = shunt_icmp_names; at->name; at++)
		names[n++] = at->name;
	check_enum(defs, "icmp_name", names, n);
	n = 0;
	for (const struct shunt_name *at = shunt_fragment_names; at->name; at++)
		names[n++] = at->name;
	check_enum(defs, "fragment", names, n);
	n = 0;
	for (const struct shunt_name *at = shunt_dscp_names; at->name; at++)
		names[n++] = at->name;
	check_enum(defs, "dscp_name", names, n);
}

static void names_are_read_in_both_directions(void **ctx)
{
	(void)ctx;
	for (const struct shunt_name *at = shunt_proto_names; at->name; at++) {
		assert_int_equal(shunt_name_value(shunt_proto_names, at->name),
				 at->value);
		assert_string_equal(shunt_proto_name(at->value), at->name);
	}
	for (const struct shunt_icmp_name *at = shunt_icmp_names; at->name; at++) {
		assert_ptr_equal(shunt_icmp_by_name(at->name), at);
		if (at->type4 >= 0)
			assert_string_equal(shunt_icmp_text(4, at->type4), at->name);
		if (at->type6 >= 0)
			assert_string_equal(shunt_icmp_text(6, at->type6), at->name);
	}
	assert_string_equal(shunt_proto_name(6), "tcp");
	assert_null(shunt_proto_name(254));
	assert_int_equal(shunt_name_value(shunt_proto_names, "TCP"), -1);
	assert_null(shunt_icmp_text(4, 200));
}

/* --- what is wrong with the values ------------------------------------------- */

static void numbers_that_are_none_are_refused(void **ctx)
{
	static const char *const numbers[] = {
		"1e300",  "-1e300",	  "1e400",	"-1",
		"53.5",	  "65536",	  "4294967349", "18446744073709551669",
		"1e-300", "0.9999999999", "65535.0001",
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		char text[256];

		snprintf(text, sizeof(text),
			 HEAD ",\"rules\":[{\"name\":\"r\",\"match\":{"
			      "\"dport\":%s},\"action\":\"pass\"}]}",
			 numbers[i]);
		bad(text, strlen(text), "/rules/0/match/dport",
		    "a whole number from 0 to 65535");
	}
}

static void every_error_is_reported_at_once(void **ctx)
{
	static const char text[] =
		"{\"schema\":1,\"default\":\"x\",\"extra\":0,\n"
		"\"sets\":{\"s\":{\"type\":\"address\",\"elements\":[\"1\",\"::1\","
		"\"2\"]}},\n"
		"\"consumers\":{\"c\":{\"kind\":\"xsk\",\"queues\":[-1]}},\n"
		"\"rules\":[{\"name\":\"r\",\"match\":{\"src\":[\"@t\",\"10.0.0.1/"
		"8\"],\"dport\":"
		"[\"a\",70000],\"zz\":1},\"action\":\"jump\"},7,{\"name\":\"r\","
		"\"action\":"
		"\"pass\"}]}";
	static const char *const pointers[] = {
		"/extra",
		"/schema",
		"/default",
		"/sets/s/elements/0",
		"/sets/s/elements/2",
		"/consumers/c/queues/0",
		"/rules/0/match/zz",
		"/rules/0/match/src/0",
		"/rules/0/match/src/1",
		"/rules/0/match/dport/0",
		"/rules/0/match/dport/1",
		"/rules/0/action",
		"/rules/1",
		"/rules/2/name",
	};
	const size_t n = sizeof(pointers) / sizeof(*pointers);
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	(void)ctx;
	assert_int_equal(shunt_policy_read(&policy, text, strlen(text), NULL, &diags),
			 -EINVAL);
	if (diags.n != n)
		show(&diags);
	assert_int_equal(diags.n, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(diags.at[i].pointer, pointers[i]);
	shunt_diags_free(&diags);
}

static void keys_that_stand_twice_are_found_everywhere(void **ctx)
{
	static const char a[] = HEAD ",\"default\":\"drop\"}";
	static const char b[] =
		HEAD ",\"rules\":[{\"name\":\"r\",\"match\":{\"dport\":1,"
		     "\"dport\":2},\"action\":\"pass\"}]}";
	static const char c[] =
		HEAD ",\"description\":\"\",\"\\u0064escription\":\"\"}";
	static const char d[] =
		HEAD ",\"sets\":{\"s\":{\"type\":\"prefix\"},\"s\":{\"type\":"
		     "\"prefix\"}},\"rules\":[{\"name\":\"r\",\"match\":{"
		     "\"src\":\"@s\"},\"action\":\"tx\"}]}";

	(void)ctx;
	bad(a, strlen(a), "/default", "stands here twice");
	bad(b, strlen(b), "/rules/0/match/dport", "stands here twice");
	bad(c, strlen(c), "/description", "stands here twice");
	bad(d, strlen(d), "/sets/s", "stands here twice");
}

static void a_file_that_cannot_be_read_is_an_error(void **ctx)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	(void)ctx;
	assert_int_equal(shunt_policy_read_file(&policy, "/nonexistent/p.json", &diags),
			 -EINVAL);
	assert_int_equal(shunt_policy_read_file(&policy, "/", &diags), -EINVAL);
	assert_int_equal(diags.errors, 2);
	assert_string_equal(diags.at[0].pointer, "");
	assert_non_null(strstr(diags.at[0].message, "/nonexistent/p.json"));
	assert_null(policy);
	shunt_policy_free(NULL);
	shunt_diags_free(&diags);
}

/* --- rough handling ---------------------------------------------------------- */

static uint64_t state = 88172645463325252;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Flips, cuts, doubles and replaces; text has room for twice its length. */
static size_t mutate(char *text, size_t len)
{
	static const char pieces[] = "{}[]\",:/*\\-0123456789eE.@ \n\xff\x80u";

	for (uint64_t n = 1 + draw() % 4; n && len > 2; n--) {
		size_t at = draw() % len, span = draw() % 16;

		if (span > len - at)
			span = len - at;
		switch (draw() % 4) {
		case 0:
			text[at] ^= 1 << draw() % 8;
			break;
		case 1:
			text[at] = pieces[draw() % (sizeof(pieces) - 1)];
			break;
		case 2:
			memmove(text + at, text + at + span, len - at - span);
			len -= span;
			break;
		default:
			memmove(text + at + span, text + at, len - at);
			len += span;
			break;
		}
	}
	return len;
}

static void mutated_examples_are_read_or_refused_cleanly(void **ctx)
{
	struct dirent **entry;
	int n = scandir(VALID, &entry, is_policy, alphasort);
	size_t accepted = 0, refused = 0;

	(void)ctx;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		_free_ char *text = NULL, *copy = NULL;
		char path[512];
		size_t len;

		snprintf(path, sizeof(path), "%s/%s", VALID, entry[i]->d_name);
		text = slurp(path, &len);
		copy = malloc(len + 256);
		for (int round = 0; round < 3000; round++) {
			struct shunt_policy *policy = NULL;
			struct shunt_diags diags = { 0 };
			size_t size;
			int ret;

			memcpy(copy, text, len);
			size = mutate(copy, len);
			ret = shunt_policy_read(&policy, copy, size, path, &diags);
			assert_true(ret == 0 ? policy && !diags.errors
					     : ret == -EINVAL && !policy &&
						       diags.errors);
			accepted += ret == 0;
			refused += ret != 0;
			shunt_policy_free(policy);
			shunt_diags_free(&diags);
		}
		free(entry[i]);
	}
	free(entry);
	assert_true(accepted > 1000);
	assert_true(refused > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_valid_example_is_read),
		cmocka_unit_test(every_invalid_example_is_refused_for_its_reason_alone),
		cmocka_unit_test(the_schema_lists_the_names_that_the_reader_knows),
		cmocka_unit_test(names_are_read_in_both_directions),
		cmocka_unit_test(numbers_that_are_none_are_refused),
		cmocka_unit_test(every_error_is_reported_at_once),
		cmocka_unit_test(keys_that_stand_twice_are_found_everywhere),
		cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
		cmocka_unit_test(mutated_examples_are_read_or_refused_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
