/* SPDX-License-Identifier: BSD-2-Clause */
/* What a port is called: reading it, and what is said of one that makes no sense. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "user/io/spec.h"

struct values {
	uint64_t number, queues;
	unsigned int choice, on;
	char text[8];
};

static const char *const colours[] = { "red", "green", NULL };

static const struct shunt_spec_row rows[] = {
	{ "number", SHUNT_SPEC_NUMBER, .min = 4, .max = 1 << 20,
	  .offset = offsetof(struct values, number), .value = "N" },
	{ "queues", SHUNT_SPEC_QUEUES, .offset = offsetof(struct values, queues),
	  .value = "QUEUES" },
	{ "colour", SHUNT_SPEC_CHOICE, .choices = colours,
	  .offset = offsetof(struct values, choice), .value = "COLOUR" },
	{ "on", SHUNT_SPEC_SWITCH, .offset = offsetof(struct values, on) },
	{ "text", SHUNT_SPEC_TEXT, .offset = offsetof(struct values, text), .room = 8,
	  .value = "TEXT" },
	{ NULL },
};

static int read_spec(const char *text, struct values *values, struct shunt_err *err)
{
	struct shunt_spec spec;
	int ret = shunt_spec_split(&spec, text, err);

	return ret ? ret : shunt_spec_read(&spec, rows, values, err);
}

static struct values good(const char *text)
{
	struct values values = {
		.number = 77, .queues = 99, .choice = 1, .text = "as"
	};
	struct shunt_err err;

	if (read_spec(text, &values, &err))
		fail_msg("%s: %s", text, err.message);
	return values;
}

static void a_name_falls_into_its_parts(void **ctx)
{
	struct shunt_spec spec;
	struct shunt_err err;

	(void)ctx;
	assert_int_equal(shunt_spec_split(&spec, "af_xdp:eth1,a=1,b", &err), 0);
	assert_string_equal(spec.scheme, "af_xdp");
	assert_string_equal(spec.device, "eth1");
	assert_string_equal(spec.rest, "a=1,b");
	assert_int_equal(shunt_spec_split(&spec, "pcap:/a:b.pcap", &err), 0);
	assert_string_equal(spec.device, "/a:b.pcap");
	assert_string_equal(spec.rest, "");
}

static void what_is_not_said_stays_as_it_was(void **ctx)
{
	struct values values = good("x:y");

	(void)ctx;
	assert_int_equal(values.number, 77);
	assert_int_equal(values.queues, 99);
	assert_int_equal(values.choice, 1);
	assert_int_equal(values.on, 0);
	assert_string_equal(values.text, "as");
}

static void every_type_is_read(void **ctx)
{
	struct values values =
		good("x:y,text=abcdefg,on,colour=red,queues=1+62-63,number=2K");

	(void)ctx;
	assert_string_equal(values.text, "abcdefg");
	assert_int_equal(values.on, 1);
	assert_int_equal(values.choice, 0);
	assert_true(values.queues == 0xc000000000000002);
	assert_int_equal(values.number, 2048);
}

static void numbers_and_queues(void **ctx)
{
	static const struct {
		const char *text;
		uint64_t value;
	} numbers[] = { { "4", 4 },	{ "1M", 1 << 20 },    { "1048576", 1 << 20 },
			{ "007", 7 },	{ "1024K", 1 << 20 }, },
	  queues[] = { { "0", 1 },	  { "63", UINT64_C(1) << 63 },
		       { "0-63", UINT64_MAX }, { "all", UINT64_MAX },
		       { "3-3", 8 },	  { "0+2", 5 },
		       { "2+0-1+1", 7 },  { "0-1+4-5", 0x33 } };
	char text[64];
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		snprintf(text, sizeof(text), "x:y,number=%s", numbers[i].text);
		assert_true(good(text).number == numbers[i].value);
	}
	for (i = 0; i < sizeof(queues) / sizeof(*queues); i++) {
		snprintf(text, sizeof(text), "x:y,queues=%s", queues[i].text);
		assert_true(good(text).queues == queues[i].value);
	}
}

static void a_switch_is_on_off_or_named(void **ctx)
{
	(void)ctx;
	assert_int_equal(good("x:y,on").on, 1);
	assert_int_equal(good("x:y,on=on").on, 1);
	assert_int_equal(good("x:y,on=off").on, 0);
}

static void what_makes_no_sense_is_refused_in_words(void **ctx)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "it reads SCHEME:DEVICE" },
		{ "eth0", "it reads SCHEME:DEVICE" },
		{ "eth0,a:b", "it reads SCHEME:DEVICE" },
		{ ":eth0", "its scheme is missing" },
		{ "a-scheme-that-is-too-long:eth0",
		  "its scheme is missing or too long" },
		{ "x:", "its device is missing" },
		{ "x:,on", "its device is missing" },
		{ "x:y,numbers=4",
		  "no option \"numbers\"; it has number, queues, colour, "
		  "on, text" },
		{ "x:y,numb=4", "no option \"numb\"" },
		{ "x:y,,on", "no option \"\"" },
		{ "x:y,on,on", "on is given twice" },
		{ "x:y,on,on=off", "on is given twice" },
		{ "x:y,number", "number takes a value: number=N" },
		{ "x:y,number=", "number=: it takes a number from 4 to 1048576" },
		{ "x:y,number=3", "a number from 4 to 1048576" },
		{ "x:y,number=1048577", "a number from 4 to 1048576" },
		{ "x:y,number=2M", "a number from 4 to 1048576" },
		{ "x:y,number=-5", "a number from 4 to 1048576" },
		{ "x:y,number= 5", "a number from 4 to 1048576" },
		{ "x:y,number=5k", "a number from 4 to 1048576" },
		{ "x:y,number=5KK", "a number from 4 to 1048576" },
		{ "x:y,number=18446744073709551616", "a number from 4 to" },
		{ "x:y,number=18014398509481984K", "a number from 4 to" },
		{ "x:y,queues=", "queues from 0 to 63" },
		{ "x:y,queues=64", "queues from 0 to 63" },
		{ "x:y,queues=2-1", "queues from 0 to 63" },
		{ "x:y,queues=0-", "queues from 0 to 63" },
		{ "x:y,queues=0+", "queues from 0 to 63" },
		{ "x:y,queues=0;1", "queues from 0 to 63" },
		{ "x:y,queues=al", "queues from 0 to 63" },
		{ "x:y,colour=blue", "colour=blue: it takes one of red, green" },
		{ "x:y,colour=", "one of red, green" },
		{ "x:y,on=yes", "on=yes: it takes on or off" },
		{ "x:y,text=", "text=: it takes" },
		{ "x:y,text=abcdefgh", "text=abcdefgh: it takes a shorter text" },
	};
	struct values values = { 0 };
	struct shunt_err err;
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(read_spec(bad[i].text, &values, &err), -EINVAL);
		if (!strstr(err.message, bad[i].words))
			fail_msg("%s: %s", bad[i].text, err.message);
	}
}

static void an_option_that_is_endless_is_refused(void **ctx)
{
	static char text[4096] = "x:y,text=";
	struct values values = { 0 };
	struct shunt_err err;

	(void)ctx;
	memset(text + strlen(text), 'a', sizeof(text) - 20);
	assert_int_equal(read_spec(text, &values, &err), -EINVAL);
	assert_non_null(strstr(err.message, "is too long"));
	memset(text, 'a', 2);
	text[1] = ':';
	memset(text + 2, 'b', 300);
	text[302] = '\0';
	assert_int_equal(read_spec(text, &values, &err), -EINVAL);
	assert_non_null(strstr(err.message, "its device is missing or too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_falls_into_its_parts),
		cmocka_unit_test(what_is_not_said_stays_as_it_was),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(numbers_and_queues),
		cmocka_unit_test(a_switch_is_on_off_or_named),
		cmocka_unit_test(what_makes_no_sense_is_refused_in_words),
		cmocka_unit_test(an_option_that_is_endless_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
