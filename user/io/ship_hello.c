/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/ship_hello.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Both begin alike: magic, version, and two bytes that each has for itself. */
struct head {
	uint32_t magic;
	uint16_t version;
	uint16_t word;
};

struct offer {
	struct head head; /* word: flags */
	uint64_t session, base, ring, bytes;
	uint32_t key, frame_max;
};

_Static_assert(sizeof(struct head) == SHUNT_SHIP_ASK_BYTES, "on the wire");
_Static_assert(sizeof(struct head) == SHUNT_SHIP_REFUSAL_BYTES, "on the wire");
_Static_assert(sizeof(struct offer) == SHUNT_SHIP_OFFER_BYTES, "on the wire");

static struct head make_head(uint16_t word)
{
	return (struct head){ .magic = htobe32(SHUNT_SHIP_MAGIC),
			      .version = htobe16(SHUNT_SHIP_VERSION),
			      .word = htobe16(word) };
}

/* False: there is none of ours. */
static bool read_head(struct head *head, const uint8_t *bytes, size_t len)
{
	if (!bytes || len < sizeof(*head))
		return false;
	memcpy(head, bytes, sizeof(*head));
	head->magic = be32toh(head->magic);
	head->version = be16toh(head->version);
	head->word = be16toh(head->word);
	return head->magic == SHUNT_SHIP_MAGIC;
}

/* --- saying ------------------------------------------------------------------------- */

size_t shunt_ship_put_ask(uint8_t *to)
{
	const struct head head = make_head(0);

	memcpy(to, &head, sizeof(head));
	return sizeof(head);
}

size_t shunt_ship_put_offer(uint8_t *to, const struct shunt_ship_offer *offer)
{
	const struct offer out = {
		.head = make_head(offer->flags),
		.session = htobe64(offer->session),
		.base = htobe64(offer->base),
		.ring = htobe64(offer->ring),
		.bytes = htobe64(offer->bytes),
		.key = htobe32(offer->key),
		.frame_max = htobe32(offer->frame_max),
	};

	memcpy(to, &out, sizeof(out));
	return sizeof(out);
}

size_t shunt_ship_put_refusal(uint8_t *to, enum shunt_ship_refusal why)
{
	const struct head head = make_head((uint16_t)why);

	memcpy(to, &head, sizeof(head));
	return sizeof(head);
}

/* --- hearing ------------------------------------------------------------------------- */

enum shunt_ship_refusal shunt_ship_read_ask(const uint8_t *bytes, size_t len)
{
	struct head head;

	if (!read_head(&head, bytes, len))
		return SHUNT_SHIP_NO_ASK;
	return head.version == SHUNT_SHIP_VERSION ? SHUNT_SHIP_FINE
						  : SHUNT_SHIP_OTHER_VERSION;
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* What a sender computes by it stays within what the receiver can have. */
static bool is_sound(const struct shunt_ship_offer *offer)
{
	return is_power_of_two(offer->bytes) && offer->bytes >= SHUNT_SHIP_RING_MIN &&
	       offer->bytes <= SHUNT_SHIP_RING_MAX && offer->frame_max &&
	       offer->frame_max <= SHUNT_SHIP_FRAME_MAX &&
	       offer->frame_max <= offer->bytes / 2 && !(offer->base & 63) &&
	       !(offer->ring & 63) && offer->ring <= UINT64_MAX - 2 * offer->bytes;
}

int shunt_ship_read_offer(struct shunt_ship_offer *offer, const uint8_t *bytes,
			  size_t len, struct shunt_err *err)
{
	struct offer in;
	struct head head;

	if (!read_head(&head, bytes, len))
		return shunt_fail(err, -EPROTO, "who answers there is no Shunt");
	if (head.version != SHUNT_SHIP_VERSION)
		return shunt_fail(err, -EPROTO,
				  "it speaks version %u, and this is version %u: "
				  "install the same Shunt on both machines",
				  head.version, SHUNT_SHIP_VERSION);
	if (len < sizeof(in))
		return shunt_fail(err, -EPROTO, "its offer is cut off: %zu bytes", len);
	memcpy(&in, bytes, sizeof(in));
	*offer = (struct shunt_ship_offer){
		.session = be64toh(in.session),
		.base = be64toh(in.base),
		.ring = be64toh(in.ring),
		.bytes = be64toh(in.bytes),
		.key = be32toh(in.key),
		.frame_max = be32toh(in.frame_max),
		.flags = head.word,
	};
	return is_sound(offer)
		       ? 0
		       : shunt_fail(err, -EPROTO,
				    "its offer makes no sense: a ring of %llu "
				    "bytes for frames of %u",
				    (unsigned long long)offer->bytes, offer->frame_max);
}

int shunt_ship_read_refusal(const uint8_t *bytes, size_t len, struct shunt_err *err)
{
	struct head head;

	if (!read_head(&head, bytes, len))
		return shunt_fail(err, -ECONNREFUSED,
				  "it has refused: nobody listens there (`shunt run "
				  "ship --receive` does), or it is no Shunt");
	if (head.word == SHUNT_SHIP_BUSY)
		return shunt_fail(err, -EBUSY,
				  "it has a sender already, and takes one at a time");
	return shunt_fail(err, -EPROTO,
			  "it has refused: it speaks version %u, and this is version "
			  "%u: install the same Shunt on both machines",
			  head.version, SHUNT_SHIP_VERSION);
}
