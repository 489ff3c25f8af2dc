/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include "user/base/cleanup.h"
#include "user/io/af_packet.h"

/* Where the frame begins in a slot. */
#define DATA_AT (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))

struct shunt_packet_tx {
	int fd;
	uint8_t *area;
	size_t bytes;
	uint32_t slots, slot_bytes, in_block, block_bytes;
	uint32_t at;
	bool pending; /* the kernel may not know of all that is in the slots */
};

static struct tpacket2_hdr *slot(const struct shunt_packet_tx *tx, uint32_t at)
{
	return (void *)(tx->area + (size_t)(at / tx->in_block) * tx->block_bytes +
			(size_t)(at % tx->in_block) * tx->slot_bytes);
}

int shunt_packet_tx_put(struct shunt_packet_tx *tx, const struct shunt_frame *frames,
			unsigned int n, uint32_t bytes)
{
	struct tpacket2_hdr *head = slot(tx, tx->at);

	/* pairs with the kernel's store when it is done with the packet */
	if (__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) &
	    ~TP_STATUS_TS_SOFTWARE)
		return 0;
	shunt_packet_copy((uint8_t *)head + DATA_AT, frames, n);
	head->tp_len = bytes;
	/* pairs with the kernel's load: the packet is written */
	__atomic_store_n(&head->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	tx->at = tx->at + 1 == tx->slots ? 0 : tx->at + 1;
	tx->pending = true;
	return 1;
}

int shunt_packet_tx_kick(struct shunt_packet_tx *tx)
{
	if (!tx->pending)
		return 0;
	tx->pending = false;
	if (send(tx->fd, NULL, 0, MSG_DONTWAIT) >= 0)
		return 1;
	tx->pending = true; /* packets stay in their slots, for the next call */
	return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 1 : -errno;
}

/* --- opening ---------------------------------------------------------------------------- */

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) ? -errno : 0;
}

/* Slots of one size, a power of two, so that they fill blocks of whole pages. */
static void lay_out(struct shunt_packet_tx *tx, const struct shunt_packet_tx_opts *opts)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	tx->slot_bytes = 256;
	while (tx->slot_bytes < opts->frame_max + TPACKET2_HDRLEN)
		tx->slot_bytes *= 2;
	tx->block_bytes = tx->slot_bytes > page ? tx->slot_bytes : page;
	tx->in_block = tx->block_bytes / tx->slot_bytes;
	tx->slots = (opts->frames + tx->in_block - 1) / tx->in_block * tx->in_block;
	tx->bytes = (size_t)tx->slots * tx->slot_bytes;
}

static int make_ring(struct shunt_packet_tx *tx,
		     const struct shunt_packet_tx_opts *opts, struct shunt_err *err)
{
	const struct tpacket_req request = { .tp_block_size = tx->block_bytes,
					     .tp_block_nr = tx->slots / tx->in_block,
					     .tp_frame_size = tx->slot_bytes,
					     .tp_frame_nr = tx->slots };
	void *area;
	int ret = set_int(tx->fd, PACKET_VERSION, TPACKET_V2);

	/* a packet that is refused must not stop those behind it */
	if (!ret)
		ret = set_int(tx->fd, PACKET_LOSS, 1);
	if (!ret && opts->bypass)
		ret = set_int(tx->fd, PACKET_QDISC_BYPASS, 1);
	if (!ret &&
	    setsockopt(tx->fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)))
		ret = -errno;
	if (ret)
		return shunt_fail_errno(
			err, ret,
			"port %s: make a transmit ring of %u slots of %u "
			"bytes",
			opts->name, tx->slots, tx->slot_bytes);
	area = mmap(NULL, tx->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, tx->fd, 0);
	if (area == MAP_FAILED)
		return shunt_fail_errno(err, -errno,
					"port %s: map %zu bytes of transmit ring",
					opts->name, tx->bytes);
	tx->area = area;
	return 0;
}

static int join(struct shunt_packet_tx *tx, const struct shunt_packet_tx_opts *opts,
		struct shunt_err *err)
{
	/* no protocol: nothing is received here */
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_ifindex = opts->ifindex };
	const int room = tx->bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)tx->bytes;

	if (bind(tx->fd, (const struct sockaddr *)&address, sizeof(address)))
		return shunt_fail_errno(err, -errno, "port %s: bind a packet socket",
					opts->name);
	/* the kernel's default would let a part of the ring be under way at a time */
	if (setsockopt(tx->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) &&
	    setsockopt(tx->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)))
		return shunt_fail_errno(err, -errno, "port %s: make room to send",
					opts->name);
	return 0;
}

int shunt_packet_tx_open(struct shunt_packet_tx **out,
			 const struct shunt_packet_tx_opts *opts, struct shunt_err *err)
{
	struct shunt_packet_tx *tx = calloc(1, sizeof(*tx));
	int ret;

	*out = NULL;
	if (!tx)
		return shunt_fail_errno(err, -ENOMEM, "open port %s", opts->name);
	lay_out(tx, opts);
	tx->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = tx->fd < 0
		      ? shunt_fail_errno(err, -errno,
					 "port %s: open a packet socket, which needs "
					 "CAP_NET_RAW",
					 opts->name)
		      : make_ring(tx, opts, err);
	if (!ret)
		ret = join(tx, opts, err);
	if (ret)
		shunt_packet_tx_close(tx);
	else
		*out = tx;
	return ret;
}

void shunt_packet_tx_close(struct shunt_packet_tx *tx)
{
	if (!tx)
		return;
	if (tx->area)
		munmap(tx->area, tx->bytes);
	shunt_cleanup_fd(&tx->fd);
	free(tx);
}
