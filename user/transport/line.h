/* SPDX-License-Identifier: BSD-2-Clause */
/* A line of datagrams that wait: the rest of a message, or what poll has received. */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "user/transport/backend.h"

SHUNT_MUST_CHECK static inline int shunt_line_open(struct shunt_datagram_line *line,
						   uint32_t room, struct shunt_err *err)
{
	line->datagram = calloc(room, sizeof(*line->datagram));
	line->room = room;
	return line->datagram ? 0
			      : shunt_fail_errno(err, -ENOMEM,
						 "make room for %u datagrams", room);
}

/* Gives back what still waits. */
static inline void shunt_line_close(struct shunt_datagram_line *line)
{
	for (; line->at < line->n; line->at++)
		shunt_frames_put(&line->datagram[line->at].frame, 1);
	free(line->datagram);
	*line = (struct shunt_datagram_line){ 0 };
}

static inline uint32_t shunt_line_left(const struct shunt_datagram_line *line)
{
	return line->n - line->at;
}

/* Datagrams that a message of so many bytes goes in. */
uint32_t shunt_transport_pieces(const struct shunt_transport *transport,
				uint64_t bytes);
