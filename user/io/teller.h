/* SPDX-License-Identifier: BSD-2-Clause */
/* A teller: what a port says of itself in its seat of the ledger (maps/seat.h). */
#pragma once

/*
 * The numbers go on from what earlier consumers have left in the seat. A teller without a
 * seat tells nobody. Plain stores into mapped memory; the port's thread alone.
 */
#include <stdint.h>

#include "loader/shunt.h"
#include "maps/seat.h"
#include "user/base/err.h"
#include "user/rt/frame.h"

struct shunt_teller {
	struct shunt_seat *seat; /* NULL: nobody is told */
	struct shunt_seat past;
};

/*
 * Takes the seat, where there are seats: once the socket or ring is open, and before it is
 * fed. `room` is how many packets can wait in it. The seats must outlive the teller.
 */
SHUNT_MUST_CHECK int shunt_teller_open(struct shunt_teller *teller,
				       struct shunt_seats *seats, uint32_t place,
				       uint32_t room, struct shunt_err *err);

/* Frames are told once they are done with: what is not told is lost if we die. */
void shunt_teller_frames(struct shunt_teller *teller, uint64_t received,
			 uint64_t discarded);

/* What the kernel's statistics say. */
void shunt_teller_drops(struct shunt_teller *teller, uint64_t ring_full,
			uint64_t dropped, uint64_t fill_empty);

/* All that came in is told, and no more can come. */
void shunt_teller_leave(struct shunt_teller *teller);
