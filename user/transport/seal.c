/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/seal.h"

#include <string.h>

#include <sodium.h>

#define EPOCH(counter) ((counter) >> SHUNT_SEAL_BITS)

void shunt_seal_begin(struct shunt_seal_out *out, struct shunt_seal_in *in,
		      const struct shunt_noise_keys *keys, uint64_t now_ns)
{
	memset(out, 0, sizeof(*out));
	memset(in, 0, sizeof(*in));
	memcpy(out->key, keys->sent, SHUNT_NOISE_KEY);
	memcpy(in->key, keys->received, SHUNT_NOISE_KEY);
	out->since_ns = now_ns;
}

/* The counter of the next packet, and the key that goes with it. */
static uint64_t take_counter(struct shunt_seal_out *out, uint64_t now_ns)
{
	const uint64_t within = out->next & ((1u << SHUNT_SEAL_BITS) - 1);

	if (within && now_ns - out->since_ns >= SHUNT_SEAL_AGE_NS)
		out->next = (EPOCH(out->next) + 1) << SHUNT_SEAL_BITS;
	if (!(out->next & ((1u << SHUNT_SEAL_BITS) - 1))) {
		if (out->next)
			shunt_noise_rekey(out->key);
		out->since_ns = now_ns;
	}
	return out->next++;
}

uint32_t shunt_seal(struct shunt_seal_out *out, uint64_t now_ns, uint32_t to,
		    uint32_t from, enum shunt_conn_kind kind, uint8_t *packet,
		    uint32_t bytes)
{
	struct shunt_conn_data_packet head = {
		.head = { .packet = SHUNT_CONN_PACKET_DATA,
			  .version = SHUNT_CONN_VERSION },
	};
	uint8_t *sealed = packet + sizeof(head);
	uint64_t counter;

	if (out->next >= SHUNT_SEAL_COUNTERS)
		return 0;
	counter = take_counter(out, now_ns);
	head.head.to = shunt_be32(to);
	head.from = shunt_be32(from);
	head.counter[0] = shunt_be32((uint32_t)(counter >> 32));
	head.counter[1] = shunt_be32((uint32_t)counter);
	memcpy(packet, &head, sizeof(head));
	*sealed = kind;
	shunt_noise_encrypt(out->key, counter,
			    (struct shunt_noise_bytes){ packet, sizeof(head) },
			    (struct shunt_noise_bytes){ sealed, bytes + 1 }, sealed);
	return bytes + SHUNT_CONN_OVERHEAD;
}

static bool was_seen(const struct shunt_seal_in *in, uint64_t counter)
{
	if (counter >= in->next)
		return false;
	if (in->next - counter > SHUNT_SEAL_WINDOW)
		return true;
	return in->seen[counter % SHUNT_SEAL_WINDOW / 64] >> counter % 64 & 1;
}

static void enter(struct shunt_seal_in *in, uint64_t counter)
{
	uint64_t at;

	if (counter >= in->next) {
		/* what the window leaves behind becomes room for what is ahead */
		at = counter - in->next >= SHUNT_SEAL_WINDOW
			     ? counter - SHUNT_SEAL_WINDOW + 1
			     : in->next;
		for (; at < counter; at++)
			in->seen[at % SHUNT_SEAL_WINDOW / 64] &= ~(1ull << at % 64);
		in->next = counter + 1;
	}
	in->seen[counter % SHUNT_SEAL_WINDOW / 64] |= 1ull << counter % 64;
}

enum shunt_seal_outcome shunt_seal_open(struct shunt_seal_in *in, uint8_t *packet,
					uint32_t bytes, bool *newest)
{
	struct shunt_conn_data_packet head;
	uint8_t key[SHUNT_NOISE_KEY], before[SHUNT_NOISE_KEY];
	uint8_t *sealed = packet + sizeof(head);
	uint64_t counter, epoch, at;
	bool sound;

	memcpy(&head, packet, sizeof(head));
	counter = (uint64_t)shunt_be32(head.counter[0]) << 32 |
		  shunt_be32(head.counter[1]);
	epoch = EPOCH(counter);
	if (was_seen(in, counter) || epoch + 1 < in->epoch)
		return SHUNT_SEAL_REPLAYED;
	if (epoch > in->epoch + SHUNT_SEAL_AHEAD || counter >= SHUNT_SEAL_COUNTERS)
		return SHUNT_SEAL_FORGED;
	memcpy(before, in->before, sizeof(before));
	memcpy(key, epoch < in->epoch ? in->before : in->key, sizeof(key));
	for (at = in->epoch; at < epoch; at++) {
		memcpy(before, key, sizeof(before));
		shunt_noise_rekey(key);
	}
	sound = shunt_noise_decrypt(
		key, counter, (struct shunt_noise_bytes){ packet, sizeof(head) },
		(struct shunt_noise_bytes){ sealed, bytes - sizeof(head) }, sealed);
	if (sound) {
		*newest = counter >= in->next;
		if (epoch > in->epoch) {
			memcpy(in->key, key, sizeof(key));
			memcpy(in->before, before, sizeof(before));
			in->epoch = epoch;
		}
		enter(in, counter);
	}
	sodium_memzero(key, sizeof(key));
	sodium_memzero(before, sizeof(before));
	return sound ? SHUNT_SEAL_OPENED : SHUNT_SEAL_FORGED;
}
