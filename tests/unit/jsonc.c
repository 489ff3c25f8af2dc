/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON with comments: what is refused where, and what the rest becomes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/jsonc.h"
#include "user/base/cleanup.h"

static void bad(const char *text, size_t len, const char *want)
{
	struct shunt_diags diags = { 0 };
	cJSON *json = NULL;

	assert_int_equal(shunt_jsonc_parse(&json, text, len, "p.json", &diags),
			 -EINVAL);
	assert_null(json);
	assert_int_equal(diags.n, 1);
	assert_int_equal(diags.errors, 1);
	assert_string_equal(diags.at[0].pointer, "");
	if (strncmp(diags.at[0].message, want, strlen(want)) != 0)
		fail_msg("wanted \"%s\", got \"%s\"", want, diags.at[0].message);
	shunt_diags_free(&diags);
}

static void good(const char *text, size_t len)
{
	struct shunt_diags diags = { 0 };
	_json_ cJSON *json = NULL;

	assert_int_equal(shunt_jsonc_parse(&json, text, len, "p.json", &diags), 0);
	assert_non_null(json);
	assert_int_equal(diags.n, 0);
}

static void positions_are_lines_and_characters(void **ctx)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "p.json:1:1: the text ends" },
		{ "   ", "p.json:1:4: the text ends" },
		{ "{\n\t\"a\": 1\n\t\"b\": 2\n}", "p.json:3:2: expected a comma" },
		{ "{\"\xc3\xa4\xe2\x82\xac\": x}",
		  "p.json:1:8: this is no JSON value" },
		{ "/* \xe2\x82\xac\n */ x", "p.json:2:5: this is no JSON value" },
		{ "// x\n{ \"a\" // y\n 1 }", "p.json:3:2: expected a colon" },
		{ "[1,\n2,]", "p.json:2:3: a comma before this" },
		{ "{\"a\":1,,}", "p.json:1:8: expected a key" },
		{ "[,]", "p.json:1:2: a value is missing" },
		{ "/", "p.json:1:1: this is no" },
		{ "/* /", "p.json:1:1: comment without an end" },
		{ "/*/", "p.json:1:1: comment without an end" },
		{ "[\"a\nb\"]", "p.json:1:2: string without an end" },
		{ "[\"a", "p.json:1:2: string without an end" },
		{ "[\"a\\", "p.json:1:2: string without an end" },
		{ "[\"\t\"]", "p.json:1:3: control character" },
		{ "[\"\\x\"]", "p.json:1:3: unknown escape" },
		{ "[\"\\u12\"]", "p.json:1:3: \\u takes four" },
		{ "[\"\\ud800\"]", "p.json:1:3: half of a surrogate pair" },
		{ "[\"\\udc00\\ud800\"]", "p.json:1:3: half of a surrogate pair" },
		{ "[01]", "p.json:1:2: a number cannot start with 0" },
		{ "[-]", "p.json:1:2: a minus sign" },
		{ "[1.]", "p.json:1:2: a number needs digits behind its point" },
		{ "[1e+]", "p.json:1:2: a number needs digits in its exponent" },
		{ "[+1]", "p.json:1:2: this is no JSON value" },
		{ "[0x10]", "p.json:1:3: expected a comma" },
		{ "[nul]", "p.json:1:2: this is no JSON value" },
		{ "[1] 2", "p.json:1:5: text behind the end" },
		{ "\xef\xbb\xbf{}", "p.json:1:1: byte order mark" },
		{ "[\"\xff\"]", "p.json:1:3: not UTF-8" },
		{ "[\"\xc0\x80\"]", "p.json:1:3: not UTF-8" },
		{ "[\"\xed\xa0\x80\"]", "p.json:1:3: not UTF-8" },
		{ "[\"\xf4\x90\x80\x80\"]", "p.json:1:3: not UTF-8" },
		{ "[\"\xe2\x82", "p.json:1:3: not UTF-8" },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		bad(rows[i].text, strlen(rows[i].text), rows[i].want);
	bad("[\"a\0b\"]", 7, "p.json:1:4: NUL byte");
	bad("{}\0", 3, "p.json:1:3: NUL byte");
}

static void depth_is_bounded(void **ctx)
{
	static char text[200000];

	(void)ctx;
	memset(text, '[', sizeof(text));
	bad(text, sizeof(text), "p.json:1:65: nested more than 64");
	memset(text, ']', sizeof(text));
	memset(text, '[', 64);
	good(text, 128);
}

static void comments_are_blanks_and_strings_are_left_alone(void **ctx)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "[1/* 2 */,3]", "[1,3]" },
		{ "[1,// 2]\n3]", "[1,3]" },
		{ "//\n[]//", "[]" },
		{ "/**/[]/***/", "[]" },
		{ "[\"/* a */ // b\"]", "[\"/* a */ // b\"]" },
		{ "[\"\\\"//\", /* \" */ \"\\\\\"]", "[\"\\\"//\",\"\\\\\"]" },
		{ " [ \"\\u00e4\\ud83d\\ude00\" ] \r\n",
		  "[\"\xc3\xa4\xf0\x9f\x98\x80\"]" },
		{ "[-0.5e+2, 0, -1, true, false, null]", "[-50,0,-1,true,false,null]" },
		{ "{\"\": {}, \"a\" : []}", "{\"\":{},\"a\":[]}" },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_diags diags = { 0 };
		_json_ cJSON *json = NULL;
		_free_ char *got = NULL;

		assert_int_equal(shunt_jsonc_parse(&json, rows[i].text,
						   strlen(rows[i].text), "p", &diags),
				 0);
		got = cJSON_PrintUnformatted(json);
		assert_string_equal(got, rows[i].want);
	}
}

static void a_number_has_as_many_digits_as_are_read(void **ctx)
{
	char text[80] = "[";

	(void)ctx;
	memset(text + 1, '1', 64);
	text[65] = ']';
	bad(text, 66, "p.json:1:2: number of more than 63 characters");
	text[64] = ']';
	good(text, 65);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_are_lines_and_characters),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(comments_are_blanks_and_strings_are_left_alone),
		cmocka_unit_test(a_number_has_as_many_digits_as_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
