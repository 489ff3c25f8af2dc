/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/jsonc.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "user/base/cleanup.h"

/* The first error ends the scan: `why` and where p stands. */
struct scan {
	const char *p, *end;
	const char *why;
	unsigned int depth;
};

static bool fail(struct scan *s, const char *at, const char *why)
{
	s->p = at;
	s->why = why;
	return false;
}

/* Bytes of the well-formed character at p (Unicode 15 table 3-7), or 0. */
static size_t utf8_char(const char *text, const char *end)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = end - text, n;
	unsigned char lo = 0x80, hi = 0xbf;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		lo = 0xa0;
	if (p[0] == 0xed)
		hi = 0x9f;
	if (p[0] == 0xf0)
		lo = 0x90;
	if (p[0] == 0xf4)
		hi = 0x8f;
	if (left < n || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool check_bytes(struct scan *s)
{
	if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
		return fail(s, s->p,
			    "byte order mark: save the file as UTF-8 without it");
	while (s->p < s->end) {
		size_t n = utf8_char(s->p, s->end);

		if (!*s->p)
			return fail(s, s->p, "NUL byte: a policy is text");
		if (!n)
			return fail(s, s->p, "not UTF-8: save the file as UTF-8");
		s->p += n;
	}
	return true;
}

/* Overwrites the comment at p by blanks, line ends kept, and steps behind it. */
static bool blank_comment(struct scan *s, char *p)
{
	const char *start = p, *close;

	if (p[1] == '/') {
		close = memchr(p, '\n', s->end - p);
		close = close ? close : s->end;
	} else {
		close = memmem(p + 2, s->end - p - 2, "*/", 2);
		if (!close)
			return fail(s, start, "comment without an end: add \"*/\"");
		close += 2;
	}
	for (; p < close; p++)
		if (*p != '\n')
			*p = ' ';
	s->p = close;
	return true;
}

static bool blank_comments(struct scan *s, char *text)
{
	bool quoted = false;

	for (s->p = text; s->p < s->end;) {
		const char *p = s->p;
		bool pair = p + 1 < s->end;

		/* A string cannot span lines: a quote that was forgotten costs one
		 * line. */
		if (*p == '"' || *p == '\n')
			quoted = *p == '"' && !quoted;
		if (!quoted && *p == '/' && pair && (p[1] == '/' || p[1] == '*')) {
			if (!blank_comment(s, text + (p - text)))
				return false;
		} else {
			s->p += quoted && *p == '\\' && pair ? 2 : 1;
		}
	}
	return true;
}

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* Four hexadecimal digits, or -1. */
static int hex4(const struct scan *s, const char *p)
{
	int value = 0;

	if (s->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *at = strchr(digits, p[i]);

		if (!at)
			return -1;
		value = value << 4 | ((at - digits) & 15);
	}
	return value;
}

/* p stands on the u of an escape. */
static bool check_unicode(struct scan *s)
{
	int unit = hex4(s, s->p + 1), low;

	if (unit < 0)
		return fail(s, s->p - 1, "\\u takes four hexadecimal digits");
	if (unit == 0)
		return fail(s, s->p - 1, "\\u0000: a string cannot contain a NUL");
	s->p += 5;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	low = s->end - s->p > 2 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s, s->p + 2)
								     : -1;
	if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return fail(s, s->p - 6, "half of a surrogate pair");
	s->p += 6;
	return true;
}

static bool check_string(struct scan *s)
{
	const char *start = s->p++;

	while (s->p < s->end && *s->p != '\n') {
		unsigned char c = *s->p;

		if (c == '"') {
			s->p++;
			return true;
		}
		if (c < 0x20)
			return fail(
				s, s->p,
				"control character in a string: write it as \\u00XX");
		s->p++;
		if (c != '\\' || s->p >= s->end)
			continue;
		if (*s->p == 'u') {
			if (!check_unicode(s))
				return false;
		} else if (strchr("\"\\/bfnrt", *s->p)) {
			s->p++;
		} else {
			return fail(s, s->p - 1,
				    "unknown escape in a string: for a "
				    "backslash write two");
		}
	}
	return fail(s, start, "string without an end: add the double quote");
}

static bool digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start;
}

static bool check_number(struct scan *s)
{
	const char *start = s->p;

	take(s, '-');
	if (take(s, '0')) {
		if (digits(s))
			return fail(s, start,
				    "a number cannot start with 0; hexadecimal "
				    "goes into a string");
	} else if (!digits(s)) {
		return fail(s, start, "a minus sign without a number");
	}
	if (take(s, '.') && !digits(s))
		return fail(s, start, "a number needs digits behind its point");
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '-'))
			take(s, '+');
		if (!digits(s))
			return fail(s, start, "a number needs digits in its exponent");
	}
	if (s->p - start > SHUNT_JSONC_DIGITS)
		return fail(s, start, "number of more than 63 characters");
	return true;
}

static bool check_literal(struct scan *s)
{
	static const char *const literal[] = { "true", "false", "null" };

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(literal[i]);

		if ((size_t)(s->end - s->p) >= n && memcmp(s->p, literal[i], n) == 0) {
			s->p += n;
			return true;
		}
	}
	return fail(s, s->p,
		    *s->p == '\'' ? "strings take double quotes, not single ones"
		    : *s->p == ',' || *s->p == ']' || *s->p == '}'
			    ? "a value is missing here"
			    : "this is no JSON value: text takes double quotes");
}

static bool check_value(struct scan *s);

/* Behind an element: is there another one? */
static bool more(struct scan *s, char close, const char *why, bool *done)
{
	skip_blanks(s);
	*done = take(s, close);
	if (*done)
		return true;
	if (!take(s, ','))
		return fail(s, s->p, why);
	skip_blanks(s);
	if (s->p < s->end && *s->p == close)
		return fail(s, s->p,
			    "a comma before this: remove it, JSON has none at "
			    "the end of a list");
	return true;
}

static bool check_array(struct scan *s)
{
	bool done;

	skip_blanks(s);
	for (done = take(s, ']'); !done;) {
		if (!check_value(s) ||
		    !more(s, ']', "expected a comma or the end of the list, ]", &done))
			return false;
	}
	return true;
}

static bool check_object(struct scan *s)
{
	bool done;

	skip_blanks(s);
	for (done = take(s, '}'); !done;) {
		if (s->p >= s->end || *s->p != '"')
			return fail(s, s->p, "expected a key in double quotes");
		if (!check_string(s))
			return false;
		skip_blanks(s);
		if (!take(s, ':'))
			return fail(s, s->p, "expected a colon behind the key");
		if (!check_value(s) ||
		    !more(s, '}', "expected a comma or the end of the object, }",
			  &done))
			return false;
	}
	return true;
}

static bool check_value(struct scan *s)
{
	bool ok;

	skip_blanks(s);
	if (s->p >= s->end)
		return fail(s, s->p, "the text ends where a value is expected");
	if (*s->p == '"')
		return check_string(s);
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
		return check_number(s);
	if (*s->p != '{' && *s->p != '[')
		return check_literal(s);
	if (++s->depth > SHUNT_JSONC_DEPTH)
		return fail(s, s->p, "nested more than 64 levels deep");
	ok = *s->p++ == '{' ? check_object(s) : check_array(s);
	s->depth--;
	return ok;
}

static bool check_document(struct scan *s)
{
	if (!check_value(s))
		return false;
	skip_blanks(s);
	if (s->p < s->end)
		return fail(s, s->p, "text behind the end of the document: remove it");
	return true;
}

int shunt_jsonc_parse(cJSON **json, const char *text, size_t len, const char *source,
		      struct shunt_diags *diags)
{
	_free_ char *copy = malloc(len + 1);
	struct scan s = { .p = text, .end = text + len };
	unsigned int line = 1, column = 1;
	const char *start = text;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = 0;
	if (check_bytes(&s)) {
		s = (struct scan){ .p = copy, .end = copy + len };
		start = copy;
		if (blank_comments(&s, copy)) {
			s.p = copy;
			check_document(&s);
		}
	}
	if (!s.why) {
		*json = cJSON_ParseWithLength(copy, len);
		return *json ? 0 : -ENOMEM;
	}
	for (const char *p = start; p < s.p; p++) {
		column += ((unsigned char)*p & 0xc0) != 0x80;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	shunt_diag_add(diags, false, "", "%s:%u:%u: %s", source, line, column, s.why);
	return -EINVAL;
}
