/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions for keys and values, beside a reader that takes them apart as text. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/kv_question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	uint32_t kind, at;
	char key[SHUNT_KV_KEY_MAX + 1];
};

static bool is_blank(uint8_t c)
{
	return c == 0 || c == ' ' || c == '\n' || c == '\r';
}

/* As far as the longest key could reach, there is nothing behind it but blanks. */
static bool tell_key(const uint8_t *text, size_t len, char *key)
{
	size_t n = 0, i;

	while (n < len && !is_blank(text[n]))
		n++;
	if (!n || n > SHUNT_KV_KEY_MAX)
		return false;
	for (i = 0; i < n; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			return false;
	for (i = n; i < len && i <= SHUNT_KV_KEY_MAX; i++)
		if (!is_blank(text[i]))
			return false;
	memcpy(key, text, n);
	return true;
}

static uint32_t be(const uint8_t *at, int bytes)
{
	return bytes ? be(at, bytes - 1) << 8 | at[bytes - 1] : 0;
}

static void tell(struct told *told, const uint8_t *text, size_t len, uint32_t modes)
{
	memset(told, 0, sizeof(*told));
	if (modes & SHUNT_KV_WITH_HEADER && text[0] == 0xd7) {
		if (len < 16 || text[1] || be(text + 12, 2) ||
		    be(text + 8, 4) != len - 16)
			return;
		told->at = 16;
	} else if (!(modes & SHUNT_KV_WITH_BARE)) {
		return;
	}
	text += told->at;
	len -= told->at;
	if (modes & SHUNT_KV_WITH_ALL)
		told->kind = SHUNT_KV_ASKS_ALL;
	else if (len >= 4 && !memcmp(text, "echo", 4))
		told->kind = SHUNT_KV_ASKS_ECHO;
	else if (len >= 4 && !memcmp(text, "get ", 4) &&
		 tell_key(text + 4, len - 4, told->key))
		told->kind = SHUNT_KV_ASKS_VALUE;
}

/* The first byte chooses the modes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_kv_question question;
	struct told told;
	size_t len = size - 1;
	uint8_t *room;

	if (size < 2 || len > SHUNT_KV_QUESTION_MAX)
		return 0;
	room = calloc(1, len + 8); /* what follows is another's */
	memcpy(room, data + 1, len);
	memset(&question, 0xa5, sizeof(question));
	shunt_kv_read(&question, room, (uint32_t)len, data[0] & 15u);
	tell(&told, room, len, data[0] & 15u);
	if (question.kind != told.kind)
		abort();
	if (told.kind && question.at != told.at)
		abort();
	if (told.kind == SHUNT_KV_ASKS_VALUE &&
	    memcmp(question.key.bytes, told.key, SHUNT_KV_KEY_MAX) != 0)
		abort();
	free(room);
	return 0;
}
