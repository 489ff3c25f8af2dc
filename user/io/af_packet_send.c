/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

#include "user/base/cleanup.h"
#include "user/io/af_packet.h"

#define CALL_MAX 1024u /* packets that sendmmsg() takes: UIO_MAXIOV */

struct shunt_packet_send {
	int fd;
	unsigned int room;	      /* frames that may wait for a kick */
	unsigned int frames, packets; /* that wait */
	struct shunt_frame *frame;    /* ours until they are sent */
	struct iovec *part;
	struct mmsghdr *packet;
};

/* --- sending ---------------------------------------------------------------------------- */

/* So many packets from the front are done with. */
static void forget(struct shunt_packet_send *self, unsigned int packets)
{
	unsigned int i, gone = 0;

	for (i = 0; i < packets; i++)
		gone += (unsigned int)self->packet[i].msg_hdr.msg_iovlen;
	shunt_frames_put(self->frame, gone);
	self->frames -= gone;
	self->packets -= packets;
	if (!self->packets)
		return;
	memmove(self->frame, self->frame + gone, self->frames * sizeof(*self->frame));
	memmove(self->part, self->part + gone, self->frames * sizeof(*self->part));
	memmove(self->packet, self->packet + packets,
		self->packets * sizeof(*self->packet));
	for (i = 0, gone = 0; i < self->packets; i++) {
		self->packet[i].msg_hdr.msg_iov = self->part + gone;
		gone += (unsigned int)self->packet[i].msg_hdr.msg_iovlen;
	}
}

/* One packet, the usual case where latency counts, takes the shorter way. */
static int call(struct shunt_packet_send *self)
{
	const struct msghdr *first = &self->packet[0].msg_hdr;

	if (self->packets > 1)
		return sendmmsg(self->fd, self->packet,
				self->packets < CALL_MAX ? self->packets : CALL_MAX,
				MSG_DONTWAIT);
	if (first->msg_iovlen > 1)
		return sendmsg(self->fd, first, MSG_DONTWAIT) < 0 ? -1 : 1;
	return send(self->fd, first->msg_iov->iov_base, first->msg_iov->iov_len,
		    MSG_DONTWAIT) < 0
		       ? -1
		       : 1;
}

int shunt_packet_send_kick(struct shunt_packet_send *self,
			   struct shunt_port_stats *count)
{
	while (self->packets) {
		int sent = call(self);

		count->wakeups++;
		if (sent > 0) {
			forget(self, (unsigned int)sent);
			continue;
		}
		switch (errno) {
		case EAGAIN: /* too much is under way: the next kick tries again */
		case EINTR:
			return 0;
		case ENOBUFS: /* the interface has refused it */
		case EMSGSIZE:
			count->tx_failed++;
			forget(self, 1);
			break;
		default:
			return -errno;
		}
	}
	return 0;
}

int shunt_packet_send_put(struct shunt_packet_send *self,
			  const struct shunt_frame *frames, unsigned int n)
{
	struct mmsghdr *packet;
	unsigned int i;

	if (n > self->room - self->frames)
		return 0;
	packet = &self->packet[self->packets++];
	memset(packet, 0, sizeof(*packet));
	packet->msg_hdr.msg_iov = &self->part[self->frames];
	packet->msg_hdr.msg_iovlen = n;
	for (i = 0; i < n; i++) {
		self->part[self->frames] =
			(struct iovec){ frames[i].data, frames[i].len };
		self->frame[self->frames++] = frames[i];
	}
	return 1;
}

/* --- opening ---------------------------------------------------------------------------- */

static int prepare(int fd, const struct shunt_packet_tx_opts *opts,
		   struct shunt_err *err)
{
	/* no protocol: nothing is received here */
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_ifindex = opts->ifindex };
	const int on = 1, room = (int)(opts->frames * 2 * opts->frame_max);

	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    (opts->bypass &&
	     setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on))))
		return shunt_fail_errno(err, -errno, "port %s: bind a packet socket",
					opts->name);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)))
		return shunt_fail_errno(err, -errno, "port %s: make room to send",
					opts->name);
	return 0;
}

int shunt_packet_send_open(struct shunt_packet_send **out,
			   const struct shunt_packet_tx_opts *opts,
			   struct shunt_err *err)
{
	struct shunt_packet_send *self = calloc(1, sizeof(*self));
	int ret;

	*out = NULL;
	if (!self)
		return shunt_fail_errno(err, -ENOMEM, "open port %s", opts->name);
	self->room = opts->frames;
	self->frame = calloc(self->room, sizeof(*self->frame));
	self->part = calloc(self->room, sizeof(*self->part));
	self->packet = calloc(self->room, sizeof(*self->packet));
	self->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = !self->frame || !self->part || !self->packet
		      ? shunt_fail_errno(err, -ENOMEM, "port %s: room for %u frames",
					 opts->name, self->room)
	      : self->fd < 0
		      ? shunt_fail_errno(err, -errno,
					 "port %s: open a packet socket, which needs "
					 "CAP_NET_RAW",
					 opts->name)
		      : prepare(self->fd, opts, err);
	if (ret)
		shunt_packet_send_close(self);
	else
		*out = self;
	return ret;
}

void shunt_packet_send_close(struct shunt_packet_send *self)
{
	if (!self)
		return;
	shunt_frames_put(self->frame, self->frames);
	shunt_cleanup_fd(&self->fd);
	free(self->frame);
	free(self->part);
	free(self->packet);
	free(self);
}
