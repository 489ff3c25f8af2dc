/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/number.h"

#include "bpf/lib/rewrite.h"
#include "user/net/line.h"

#define TCP_DATA 12 /* where the header says how long it is, in its upper half, by 4 */

bool shunt_number_find(const uint8_t *frame, uint32_t len,
		       struct shunt_number_place *place)
{
	const struct shunt_layer *l;
	struct shunt_pkt pkt;
	uint32_t proto, header;

	if (shunt_frame_parse(frame, len, &pkt) >= 0)
		return false;
	l = &pkt.layer[SHUNT_OUTER];
	if (!l->l4_off || l->field[SHUNT_FIELD_FRAGMENT] == SHUNT_FRAGMENT_LATER + 1)
		return false;
	proto = l->field[SHUNT_FIELD_PROTO] - 1;
	header = proto == SHUNT_IP_TCP ? (frame[l->l4_off + TCP_DATA] >> 4) * 4u : 8;
	place->check = l->l4_off + shunt_check_off(proto, l->l3);
	if (proto == SHUNT_IP_ICMP && l->l3 == SHUNT_L3_IP4)
		place->check =
			l->l4_off + __builtin_offsetof(struct shunt_icmp, checksum);
	place->payload = l->l4_off + header;
	place->udp = proto == SHUNT_IP_UDP;
	/* a short ICMP message ends before its eight bytes do */
	return place->check != l->l4_off && place->payload <= len;
}

void shunt_number_mark(uint8_t *frame, const struct shunt_number_place *place)
{
	uint16_t word[4], check;
	__u64 change = 0;
	int i;

	memcpy(word, SHUNT_NUMBER_MARK, sizeof(word));
	memcpy(frame + place->payload, word, sizeof(word));
	for (i = 0; i < 4; i++)
		change = shunt_csum_change16(change, 0, word[i]);
	memcpy(&check, frame + place->check, sizeof(check));
	check = place->udp ? shunt_csum_after_udp(check, change)
			   : shunt_csum_after(check, change);
	memcpy(frame + place->check, &check, sizeof(check));
}

bool shunt_number_read(const uint8_t *frame, uint32_t len, uint64_t *number)
{
	struct shunt_number_place place;
	uint64_t wire;

	if (!shunt_number_find(frame, len, &place) ||
	    place.payload + SHUNT_NUMBER_BYTES > len ||
	    memcmp(frame + place.payload, SHUNT_NUMBER_MARK, 8) != 0)
		return false;
	memcpy(&wire, frame + place.payload + 8, sizeof(wire));
	*number = __builtin_bswap64(wire);
	return true;
}
