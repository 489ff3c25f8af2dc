/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/conn_gate.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

int shunt_conn_gate_open(struct shunt_conn_gate *gate, const struct shunt_psk *psk,
			 const uint8_t secret[SHUNT_PSK_BYTES], uint32_t hellos,
			 struct shunt_err *err)
{
	*gate = (struct shunt_conn_gate){ .psk = psk, .slots = 16 };
	while (gate->slots < 2 * (uint64_t)hellos && gate->slots < 1u << 30)
		gate->slots *= 2;
	memcpy(gate->secret, secret, sizeof(gate->secret));
	gate->seen[0] = calloc(gate->slots, sizeof(*gate->seen[0]));
	gate->seen[1] = calloc(gate->slots, sizeof(*gate->seen[1]));
	if (gate->seen[0] && gate->seen[1])
		return 0;
	shunt_conn_gate_close(gate);
	return shunt_fail(err, -ENOMEM, "no memory to remember %u callers", hellos);
}

void shunt_conn_gate_close(struct shunt_conn_gate *gate)
{
	free(gate->seen[0]);
	free(gate->seen[1]);
	sodium_memzero(gate, sizeof(*gate));
}

static void make_cookie(const struct shunt_conn_gate *gate, uint64_t period,
			struct shunt_noise_bytes from,
			uint8_t cookie[SHUNT_CONN_COOKIE])
{
	crypto_generichash_blake2b_state state;

	crypto_generichash_blake2b_init(&state, gate->secret, sizeof(gate->secret),
					SHUNT_CONN_COOKIE);
	crypto_generichash_blake2b_update(&state, (const uint8_t *)&period,
					  sizeof(period));
	crypto_generichash_blake2b_update(&state, from.at, from.bytes);
	crypto_generichash_blake2b_final(&state, cookie, SHUNT_CONN_COOKIE);
}

static bool is_good(const struct shunt_conn_gate *gate, uint64_t period,
		    struct shunt_noise_bytes from,
		    const uint8_t cookie[SHUNT_CONN_COOKIE])
{
	uint8_t want[SHUNT_CONN_COOKIE];

	make_cookie(gate, period, from, want);
	if (!sodium_memcmp(want, cookie, sizeof(want)))
		return true;
	make_cookie(gate, period - 1, from, want);
	return !sodium_memcmp(want, cookie, sizeof(want));
}

/* Forgets those whose cookies are no longer good: a cookie of one period is good until the
 * next one is over, and so is what was entered in it or in that next one. */
static uint64_t turn(struct shunt_conn_gate *gate, uint64_t now_ns)
{
	const uint64_t period = now_ns / SHUNT_CONN_COOKIE_NS;
	unsigned int i;

	for (i = 0; i < 2 && period > gate->period; i++) {
		const uint64_t at = period - i;

		if (at <= gate->period)
			break;
		memset(gate->seen[at % 2], 0,
		       gate->slots * sizeof(*gate->seen[at % 2]));
		gate->used[at % 2] = 0;
	}
	gate->period = period;
	return period;
}

static uint64_t name_of(const struct shunt_conn_hello_packet *hello)
{
	uint64_t name;

	memcpy(&name, hello->noise, sizeof(name));
	return name ? name : 1;
}

/* Where it is, or would be. Ephemeral keys are random, and so are their bytes: nobody
 * who doesn't know the key gets here to choose them. */
static struct shunt_conn_seen *place(const struct shunt_conn_gate *gate,
				     unsigned int which, uint64_t name)
{
	uint32_t at = (uint32_t)(name >> 32);

	for (;; at++) {
		struct shunt_conn_seen *seen =
			&gate->seen[which][at & (gate->slots - 1)];

		if (!seen->ephemeral || seen->ephemeral == name)
			return seen;
	}
}

static bool was_seen(const struct shunt_conn_gate *gate,
		     const struct shunt_conn_hello_packet *hello, uint32_t *id)
{
	unsigned int which;

	for (which = 0; which < 2; which++) {
		const struct shunt_conn_seen *seen = place(gate, which, name_of(hello));

		if (seen->ephemeral) {
			*id = seen->id;
			return true;
		}
	}
	return false;
}

enum shunt_conn_admission shunt_conn_gate_judge(struct shunt_conn_gate *gate,
						uint64_t now_ns,
						struct shunt_noise_bytes from,
						struct shunt_noise_bytes packet,
						struct shunt_conn_cookie_packet *cookie,
						uint32_t *id)
{
	const size_t marked = offsetof(struct shunt_conn_hello_packet, mark);
	struct shunt_conn_hello_packet hello;
	uint8_t mark[SHUNT_PSK_MARK];
	uint64_t period;

	if (packet.bytes != sizeof(hello))
		return SHUNT_CONN_MALFORMED;
	memcpy(&hello, packet.at, sizeof(hello));
	if (hello.head.packet != SHUNT_CONN_PACKET_HELLO ||
	    hello.head.version != SHUNT_CONN_VERSION || hello.head.reserved ||
	    !hello.head.to)
		return SHUNT_CONN_MALFORMED;
	shunt_psk_mark(gate->psk, &hello, marked, NULL, 0, mark);
	if (sodium_memcmp(mark, hello.mark, sizeof(mark)))
		return SHUNT_CONN_STRANGER;
	period = turn(gate, now_ns);
	if (is_good(gate, period, from, hello.cookie))
		return was_seen(gate, &hello, id) ? SHUNT_CONN_AGAIN
						  : SHUNT_CONN_ADMITTED;
	*cookie = (struct shunt_conn_cookie_packet){
		.head = { .packet = SHUNT_CONN_PACKET_COOKIE,
			  .version = SHUNT_CONN_VERSION,
			  .to = hello.head.to },
	};
	make_cookie(gate, period, from, cookie->cookie);
	shunt_psk_mark(gate->psk, cookie,
		       offsetof(struct shunt_conn_cookie_packet, mark), hello.mark,
		       sizeof(hello.mark), cookie->mark);
	return SHUNT_CONN_COOKIED;
}

bool shunt_conn_gate_enter(struct shunt_conn_gate *gate, uint64_t now_ns,
			   const struct shunt_conn_hello_packet *hello, uint32_t id)
{
	const unsigned int which = turn(gate, now_ns) % 2;
	struct shunt_conn_seen *seen;

	if (gate->used[which] >= gate->slots / 2)
		return false;
	seen = place(gate, which, name_of(hello));
	gate->used[which] += !seen->ephemeral;
	*seen = (struct shunt_conn_seen){ .ephemeral = name_of(hello), .id = id };
	return true;
}
