/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/teller.h"

#include "user/base/clock.h"

int shunt_teller_open(struct shunt_teller *teller, struct shunt_seats *seats,
		      uint32_t place, uint32_t room, struct shunt_err *err)
{
	struct shunt_seat *seat;
	int ret;

	*teller = (struct shunt_teller){ 0 };
	if (!seats)
		return 0;
	ret = shunt_seat_take(seats, place, room + SHUNT_BURST, &seat, err);
	if (ret)
		return ret;
	teller->past = *seat;
	teller->seat = seat;
	return 0;
}

static void store(__u64 *to, __u64 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

void shunt_teller_frames(struct shunt_teller *teller, uint64_t received,
			 uint64_t discarded)
{
	if (!teller->seat)
		return;
	store(&teller->seat->received, teller->past.received + received);
	store(&teller->seat->discarded, teller->past.discarded + discarded);
}

void shunt_teller_drops(struct shunt_teller *teller, uint64_t ring_full,
			uint64_t dropped, uint64_t fill_empty)
{
	if (!teller->seat)
		return;
	store(&teller->seat->ring_full, teller->past.ring_full + ring_full);
	store(&teller->seat->dropped, teller->past.dropped + dropped);
	store(&teller->seat->fill_empty, teller->past.fill_empty + fill_empty);
	store(&teller->seat->stamp_ns, shunt_now_ns());
}

void shunt_teller_leave(struct shunt_teller *teller)
{
	if (teller->seat)
		shunt_seat_leave(teller->seat);
	teller->seat = NULL;
}
