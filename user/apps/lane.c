/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/lane.h"

int shunt_lane_send(struct shunt_lane *lane, struct shunt_err *err)
{
	struct shunt_app_counts *count = &lane->app->count;
	struct shunt_port *port = lane->port;
	struct shunt_port_stats before;
	unsigned int took;
	int ret;

	if (!lane->n)
		return 0;
	before = port->count;
	took = shunt_port_tx(port, lane->frame + lane->at, lane->n);
	lane->at += took;
	lane->n -= took;
	if (!lane->n)
		lane->at = 0;
	lane->owed = true;
	/* also where it took nothing: room comes from what the kernel has sent */
	ret = shunt_port_kick(port, err);
	count->sent += port->count.tx_packets - before.tx_packets;
	count->sent_bytes += port->count.tx_bytes - before.tx_bytes;
	count->refused += port->count.tx_refused - before.tx_refused;
	count->no_room += port->count.tx_no_room - before.tx_no_room;
	count->no_peer += port->count.tx_no_peer - before.tx_no_peer;
	return ret ? ret : (int)took;
}

int shunt_lane_settle(struct shunt_lane *lane, struct shunt_err *err)
{
	return lane->owed ? shunt_port_kick(lane->port, err) : 0;
}

unsigned int shunt_lane_abandon(struct shunt_lane *lane)
{
	unsigned int packets = shunt_packets_in(lane->frame + lane->at, lane->n);

	shunt_frames_put(lane->frame + lane->at, lane->n);
	lane->n = lane->at = 0;
	return packets;
}
