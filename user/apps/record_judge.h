/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of a recorded packet, as options of pcapng. */
#pragma once

#include "user/apps/record.h"

/* Fills in comment (in `text`), way, queue and verdict, as far as they are known. */
void shunt_record_judge(const struct shunt_record_packet *packet,
			struct shunt_pcapng_packet *to,
			char text[SHUNT_PCAPNG_COMMENT]);
