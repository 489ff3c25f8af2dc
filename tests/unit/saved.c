/* SPDX-License-Identifier: BSD-2-Clause */
/* Documents of `shunt save`: read, written again, compared, and put into files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/policy/prefix.h"
#include "loader/saved.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"

#define SET(name, type, elements)                                                      \
	"{\"name\":\"" name "\",\"type\":\"" type                                      \
	"\",\"size\":64,\"elements\":[" elements "]}"
#define ONE(interface, netns, hooks, sets)                                             \
	"{\"interface\":\"" interface "\",\"netns\":" netns ",\"hooks\":[" hooks       \
	"],\"source\":\"p.json\",\"policy\":\"a\\nb \\u00e4\",\"sets\":[" sets "]}"
#define DOC(instances) "{\"schema\":\"shunt.save/1\",\"instances\":[" instances "]}"
#define XDP "{\"hook\":\"xdp\",\"mode\":\"native\",\"insisted\":false}"
#define EGRESS "{\"hook\":\"tc-egress\",\"mode\":\"clsact\",\"insisted\":true}"

static struct shunt_saved *list;
static size_t n;

static int parse(const char *text, struct shunt_err *err)
{
	shunt_saved_free(list, n);
	err->message[0] = 0;
	return shunt_saved_parse(&list, &n, text, strlen(text), "s.json", err);
}

static void good(const char *text)
{
	struct shunt_err err;

	if (parse(text, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < n; i++)
		if (list[i].fault)
			fail_msg("%s", list[i].fault);
}

static char *written(void)
{
	_json_ cJSON *json = shunt_saved_json(list, n);
	char *text = json ? shunt_saved_text(json) : NULL;

	assert_non_null(text);
	return text;
}

static void what_is_read_is_written_in_one_order(void **ctx)
{
	static const char *const same[] = {
		DOC(ONE("b0", "\"blue\"", XDP "," EGRESS,
			SET("s", "prefix",
			    "\"10.0.0.0/8\",\"10.1.0.0/16\",\"2001:db8::/32\""))),
		DOC(ONE("b0", "\"blue\"", EGRESS "," XDP,
			SET("s", "prefix",
			    "\"2001:0db8::/32\",\"10.1.0.0/16\",\"10.0.0.0/8\","
			    "\"10.1.0.0/16\""))),
		"// by hand\n" DOC(ONE("b0", "\"blue\"", XDP "," EGRESS,
				       SET("s", "prefix",
					   "\"10.1.0.0/16\", /* */ \"10.0.0.0/8\","
					   "\"2001:db8:0::/32\""))),
	};
	_free_ char *first = NULL;

	(void)ctx;
	for (size_t i = 0; i < 3; i++) {
		good(same[i]);
		assert_int_equal(n, 1);
		assert_int_equal(list->hooks, 2);
		assert_int_equal(list->hook[0].hook, SHUNT_HOOK_XDP);
		assert_true(list->hook[1].insisted);
		assert_int_equal(list->set->elements, 3);
		assert_string_equal(list->policy, "a\nb \xc3\xa4");
		_free_ char *text = written();
		good(text);
		_free_ char *again = written();
		assert_string_equal(text, again);
		if (!first)
			first = strdup(text);
		assert_string_equal(text, first);
	}
}

static void an_empty_document_is_whole(void **ctx)
{
	(void)ctx;
	good(DOC(""));
	assert_int_equal(n, 0);
}

static void one_fault_costs_one_instance(void **ctx)
{
	static const struct {
		const char *text;
		const char *fault;
	} rows[] = {
		{ ONE("", "null", XDP, ""), "at /instances/1/interface: " },
		{ ONE("a b", "null", XDP, ""), "at /instances/1/interface: " },
		{ ONE("b1", "7", XDP, ""), "at /instances/1/netns: must be" },
		{ ONE("b1", "\"\"", XDP, ""), "at /instances/1/netns: names no" },
		{ ONE("b1", "null", "", ""), "at /instances/1/hooks: names no hook" },
		{ ONE("b1", "null", XDP "," XDP, ""),
		  "at /instances/1/hooks/1/hook: xdp stands here twice" },
		{ ONE("b1", "null", "7", ""), "at /instances/1/hooks/0: must be" },
		{ ONE("b1", "null", XDP, SET("s", "port", "")),
		  "at /instances/1/sets/0/type: \"port\" is not a type" },
		{ ONE("b1", "null", XDP, SET("s", "address", "\"10.0.0.0/8\"")),
		  "at /instances/1/sets/0/elements/0: " },
		{ ONE("b1", "null", XDP, SET("s", "address-port", "\"10.0.0.1\"")),
		  "at /instances/1/sets/0/elements/0: " },
		{ ONE("b1", "null", XDP, SET("s", "prefix", "7")),
		  "at /instances/1/sets/0/elements/0: must be a member" },
		{ ONE("b1", "null", XDP,
		      SET("s", "prefix", "") "," SET("s", "prefix", "")),
		  "at /instances/1/sets/1/name: set s stands here twice" },
		{ ONE("b1", "null", XDP, SET("../s", "prefix", "")),
		  "at /instances/1/sets/0/name: " },
		{ ONE("b0", "null", XDP, ""),
		  "at /instances/1/interface: b0 stands here twice" },
		{ "7", "at /instances/1: must be an object" },
		{ "{}", "at /instances/1: the key \"interface\" is missing (and 5 " },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_err err;
		char text[4096];

		snprintf(text, sizeof(text),
			 DOC(ONE("b0", "null", XDP, "") ",%s," ONE("b2", "null", XDP,
								   "")),
			 rows[i].text);
		assert_int_equal(parse(text, &err), 0);
		assert_int_equal(n, 3);
		assert_null(list[0].fault);
		assert_null(list[2].fault);
		assert_string_equal(list[2].interface, "b2");
		assert_non_null(list[1].fault);
		if (strncmp(list[1].fault, rows[i].fault, strlen(rows[i].fault)) != 0)
			fail_msg("row %zu: %s", i, list[1].fault);
	}
}

static void what_is_no_document_is_refused_with_its_place(void **ctx)
{
	static const struct {
		const char *text;
		const char *words;
	} rows[] = {
		{ "", "s.json:1:1: " },
		{ "{\"schema\":\n}", "s.json:2:1: " },
		{ "7", "s.json: this is nothing that `shunt save` has written" },
		{ "{\"schema\":7}", "s.json: at /schema: must be" },
		{ "{\"schema\":\"shunt.policy/1\"}", "s.json: at /schema: " },
		{ "{\"schema\":\"shunt.save/1\"}", "s.json: the key \"instances\"" },
		{ DOC("") "x", "s.json:1:41: text behind the end" },
	};
	struct shunt_err err;

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(parse(rows[i].text, &err), -EINVAL);
		assert_null(list);
		if (strncmp(err.message, rows[i].words, strlen(rows[i].words)) != 0)
			fail_msg("row %zu: %s", i, err.message);
	}
}

static void no_prefix_of_a_document_is_one(void **ctx)
{
	static const char whole[] =
		DOC(ONE("b0", "null", XDP, SET("s", "prefix", "\"10.0.0.0/8\"")));
	struct shunt_err err;

	(void)ctx;
	good(whole);
	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		shunt_saved_free(list, n);
		assert_int_equal(shunt_saved_parse(&list, &n, whole, len, "s.json",
						   &err),
				 -EINVAL);
		assert_null(list);
	}
}

static void rules_are_compared_with_members_and_room(void **ctx)
{
	static const char base[] =
		ONE("b0", "null", XDP,
		    SET("a", "prefix", "\"10.0.0.0/8\"") "," SET("b", "address", ""));
	static const char *const others[] = {
		ONE("b0", "null", XDP,
		    SET("a", "prefix", "\"11.0.0.0/8\"") "," SET("b", "address", "")),
		ONE("b0", "null", XDP,
		    SET("a", "prefix", "") "," SET("b", "address", "")),
		ONE("b0", "null", XDP,
		    SET("c", "prefix", "\"10.0.0.0/8\"") "," SET("b", "address", "")),
		ONE("b0", "null", XDP,
		    SET("a", "prefix", "\"10.0.0.0/8\"") "," SET("b", "prefix", "")),
		ONE("b0", "null", XDP, SET("a", "prefix", "\"10.0.0.0/8\"")),
	};
	char text[4096];

	(void)ctx;
	snprintf(text, sizeof(text), DOC("%s,%s"), base,
		 ONE("b1", "\"x\"", EGRESS,
		     SET("b", "address", "") "," SET("a", "prefix", "\"10.0.0.0/8\"")));
	good(text);
	assert_true(shunt_saved_rules_alike(&list[0], &list[1]));
	list[1].set[0].size++;
	assert_false(shunt_saved_rules_alike(&list[0], &list[1]));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		char other[2048];

		snprintf(other, sizeof(other), "%s", others[i]);
		memcpy(strstr(other, "b0"), "b9", 2);
		snprintf(text, sizeof(text), DOC("%s,%s"), base, other);
		good(text);
		assert_false(shunt_saved_rules_alike(&list[0], &list[1]));
	}
}

static void members_are_handed_to_the_policy(void **ctx)
{
#define POLICY(sets)                                                                   \
	"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"sets\":{" sets "},"     \
	"\"rules\":[{\"name\":\"r\",\"match\":{\"src\":\"@s\"},\"action\":\"drop\"}]}"
	static const struct {
		const char *policy;
		const char *fault; /* NULL: sound */
		bool dynamic;
	} rows[] = {
		{ POLICY("\"s\":{\"type\":\"prefix\",\"file\":\"/no/such/file\"}"),
		  NULL, false },
		{ POLICY("\"s\":{\"type\":\"prefix\",\"elements\":[\"9.0.0.0/8\"]}"),
		  NULL, false },
		{ POLICY("\"s\":{\"type\":\"prefix\"}"), NULL, true },
		{ POLICY("\"s\":{\"type\":\"address\"}"),
		  "is of type address, and the members are saved as prefix", true },
		{ POLICY("\"s\":{\"type\":\"prefix\",\"size\":1}"),
		  "1 is too small for 2 IPv4 elements", true },
		{ POLICY("\"s\":{\"type\":\"prefix\"},\"t\":{\"type\":\"prefix\"}"),
		  "the members of this set were not saved with it", true },
		{ "{\"schema\":\"shunt.policy/1\",\"default\":\"pass\"}",
		  "members of set s were saved, and there is no such set", true },
	};
	struct shunt_givens givens;

	(void)ctx;
	good(DOC(ONE("b0", "null", XDP,
		     SET("s", "prefix", "\"10.0.0.0/8\",\"11.0.0.0/8\""))));
	givens = (struct shunt_givens){ list->set, list->sets };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *policy = NULL;
		struct shunt_diags diags = { 0 };
		int ret = shunt_policy_read_given(&policy, rows[i].policy,
						  strlen(rows[i].policy), "p", &givens,
						  &diags);

		assert_int_equal(ret, rows[i].fault ? -EINVAL : 0);
		if (rows[i].fault) {
			assert_non_null(strstr(diags.at[0].message, rows[i].fault));
		} else {
			assert_int_equal(policy->set->elements, 2);
			assert_int_equal(policy->set->element[1].addr[0], 11);
			assert_int_equal(policy->set->size, 64);
			assert_int_equal(policy->set->dynamic, rows[i].dynamic);
			assert_string_equal(policy->text, rows[i].policy);
		}
		shunt_diags_free(&diags);
		shunt_policy_free(policy);
	}
}

static void files_have_names_that_cannot_mislead(void **ctx)
{
	static const struct {
		const char *netns, *interface, *name;
	} rows[] = {
		{ NULL, "eth0", "eth0.json" },
		{ NULL, "eth0.100", "eth0.100.json" },
		{ NULL, ".hidden", "%2ehidden.json" },
		{ NULL, "a%b", "a%25b.json" },
		{ NULL, "\xc3\xa4", "%c3%a4.json" },
		{ "blue", "eth0", "blue:eth0.json" },
		{ "bl:ue", "eth0", "bl%3aue:eth0.json" },
		{ "/proc/1/ns/net", "eth0", "%2fproc%2f1%2fns%2fnet:eth0.json" },
		{ "..", "x", "%2e.:x.json" },
	};
	char name[SHUNT_SAVED_NAME], far[300];
	struct shunt_err err;

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(shunt_saved_name(name, rows[i].netns,
						  rows[i].interface, &err),
				 0);
		assert_string_equal(name, rows[i].name);
	}
	for (size_t len = 0; len < sizeof(far) - 1; len++) {
		int ret;

		memset(far, 'n', len);
		far[len] = 0;
		ret = shunt_saved_name(name, far, "eth0", &err);
		assert_true(ret == 0 || ret == -ENAMETOOLONG);
		if (!ret)
			assert_int_equal(strlen(name), len + strlen(":eth0.json"));
		else
			assert_true(len > 230);
	}
}

static void a_file_is_replaced_as_a_whole(void **ctx)
{
	char folder[] = "/tmp/shunt-saved-XXXXXX", path[64], tmp[64];
	_free_ char *text = NULL;
	struct shunt_err err;
	struct stat st;
	size_t bytes;
	FILE *left;

	(void)ctx;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/f", folder);
	snprintf(tmp, sizeof(tmp), "%s/.f.tmp", folder);
	/* what a killed one has left is longer than what comes */
	left = fopen(tmp, "w");
	assert_non_null(left);
	fputs("left behind by a process that was killed", left);
	fclose(left);
	assert_int_equal(shunt_file_replace(path, "one", 3, &err), 0);
	assert_int_equal(shunt_file_replace(path, "seven", 5, &err), 0);
	assert_int_equal(shunt_file_read(path, 5, &text, &bytes, &err), 0);
	assert_int_equal(bytes, 5);
	assert_string_equal(text, "seven");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(shunt_file_read(path, 4, &text, &bytes, &err), -EFBIG);
	assert_int_equal(shunt_file_replace(folder, "x", 1, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_written_in_one_order),
		cmocka_unit_test(an_empty_document_is_whole),
		cmocka_unit_test(one_fault_costs_one_instance),
		cmocka_unit_test(what_is_no_document_is_refused_with_its_place),
		cmocka_unit_test(no_prefix_of_a_document_is_one),
		cmocka_unit_test(rules_are_compared_with_members_and_room),
		cmocka_unit_test(members_are_handed_to_the_policy),
		cmocka_unit_test(files_have_names_that_cannot_mislead),
		cmocka_unit_test(a_file_is_replaced_as_a_whole),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	shunt_saved_free(list, n);
	return failed;
}
