/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#include <pcap/pcap.h>

#include "user/base/cleanup.h"
#include "user/io/af_packet.h"
#include "user/net/csum.h"

/* In front of a frame: room for a tag, for a stamp, and for who puts a header there. */
#define HEADROOM 64u
#define TAG_BYTES 4u

/* A slot of TPACKET_V2 is a block of one frame. */
struct block {
	_Alignas(64) atomic_uint lent; /* frames that are not back yet */
	atomic_uint taken; /* the reader has begun it, and it isn't free yet */
};

struct shunt_packet_rx {
	struct shunt_pool pool;
	int fd;
	bool slots; /* TPACKET_V2 */
	uint8_t *area;
	uint32_t blocks, block_bytes;
	uint32_t at;   /* the block that is read, or comes next */
	uint32_t left; /* frames in it that were not taken yet */
	uint8_t *next; /* the first of these */
	struct block block[];
};

static void *at_of(const struct shunt_packet_rx *rx, uint32_t block)
{
	return rx->area + (size_t)block * rx->block_bytes;
}

/* Whose a block is. */
static uint32_t *status_of(const struct shunt_packet_rx *rx, uint32_t block)
{
	struct tpacket_block_desc *desc = at_of(rx, block);
	struct tpacket2_hdr *slot = at_of(rx, block);

	return rx->slots ? &slot->tp_status : &desc->hdr.bh1.block_status;
}

/* --- blocks --------------------------------------------------------------------------- */

static void put_block(struct shunt_packet_rx *rx, uint32_t at, unsigned int n)
{
	struct block *block = &rx->block[at];

	/* release: whoever brings the last one back sees that the others are done */
	if (atomic_fetch_sub_explicit(&block->lent, n, memory_order_acq_rel) != n)
		return;
	/* pairs with the kernel's look at the status: we are done with the block */
	__atomic_store_n(status_of(rx, at), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	/* pairs with begin_block(): the status is the kernel's again */
	atomic_store_explicit(&block->taken, 0, memory_order_release);
}

static void rx_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		   unsigned int n)
{
	struct shunt_packet_rx *rx = (struct shunt_packet_rx *)pool;
	unsigned int i = 0, end;

	while (i < n) {
		for (end = i + 1; end < n && frames[end].token == frames[i].token;)
			end++;
		put_block(rx, (uint32_t)frames[i].token, end - i);
		i = end;
	}
}

static unsigned int rx_get(struct shunt_pool *pool, struct shunt_frame *frames,
			   unsigned int n)
{
	(void)pool;
	(void)frames;
	(void)n;
	return 0;
}

static const struct shunt_pool_ops rx_ops = { .get = rx_get, .put = rx_put };

/* Is there a block to read? The kernel gives none away that is empty. */
static bool begin_block(struct shunt_packet_rx *rx)
{
	struct block *block = &rx->block[rx->at];
	const struct tpacket_block_desc *desc = at_of(rx, rx->at);

	/* pairs with put_block(): the ring has come around to a block that is still lent */
	if (atomic_load_explicit(&block->taken, memory_order_acquire))
		return false;
	/* pairs with the kernel's barrier: the block is written */
	if (!(__atomic_load_n(status_of(rx, rx->at), __ATOMIC_ACQUIRE) &
	      TP_STATUS_USER))
		return false;
	rx->left = rx->slots ? 1 : desc->hdr.bh1.num_pkts;
	rx->next = (uint8_t *)at_of(rx, rx->at) +
		   (rx->slots ? 0 : desc->hdr.bh1.offset_to_first_pkt);
	atomic_store_explicit(&block->lent, rx->left, memory_order_relaxed);
	atomic_store_explicit(&block->taken, 1, memory_order_relaxed);
	return true;
}

/* --- frames --------------------------------------------------------------------------- */

/* What the sender left to its NIC: the sum of the pseudo header is in the field already. */
static void fill_checksum(const struct virtio_net_hdr *head, uint8_t *data,
			  uint32_t len)
{
	uint32_t start = head->csum_start, at = start + head->csum_offset;
	uint16_t sum;

	if (!(head->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || at + sizeof(sum) > len)
		return;
	sum = (uint16_t)~shunt_csum(data + start, len - start);
	/* for UDP, zero means that there is none */
	if (!sum && head->csum_offset == 6)
		sum = 0xffff;
	memcpy(data + at, &sum, sizeof(sum));
}

/* What both versions say of a frame. */
struct head {
	uint32_t next_at, status, len, captured, seconds, ns;
	uint16_t data_at, tag, tag_type;
};

static struct head read_head(const struct shunt_packet_rx *rx, const uint8_t *at)
{
	struct tpacket2_hdr slot;
	struct tpacket3_hdr head;

	if (rx->slots) {
		memcpy(&slot, at, sizeof(slot));
		return (struct head){ 0,
				      slot.tp_status,
				      slot.tp_len,
				      slot.tp_snaplen,
				      slot.tp_sec,
				      slot.tp_nsec,
				      slot.tp_mac,
				      slot.tp_vlan_tci,
				      slot.tp_vlan_tpid };
	}
	memcpy(&head, at, sizeof(head));
	return (struct head){ head.tp_next_offset,  head.tp_status,
			      head.tp_len,	    head.tp_snaplen,
			      head.tp_sec,	    head.tp_nsec,
			      head.tp_mac,	    (uint16_t)head.hv1.tp_vlan_tci,
			      head.hv1.tp_vlan_tpid };
}

/* The tag goes back between the addresses and the type. */
static uint8_t *put_tag(const struct head *head, uint8_t *data)
{
	const uint16_t tag[2] = {
		htons(head->status & TP_STATUS_VLAN_TPID_VALID ? head->tag_type
							       : ETHERTYPE_VLAN),
		htons(head->tag),
	};

	memmove(data - TAG_BYTES, data, 2 * ETH_ALEN);
	memcpy(data - TAG_BYTES + 2 * ETH_ALEN, tag, sizeof(tag));
	return data - TAG_BYTES;
}

/* The next frame of the block; false: it was longer than a block, and is lost. */
static bool take(struct shunt_packet_rx *rx, struct shunt_frame *frame)
{
	const struct head head = read_head(rx, rx->next);
	uint8_t *data = rx->next + head.data_at;
	struct virtio_net_hdr offload;

	rx->next += head.next_at;
	rx->left--;
	if (head.captured < head.len)
		return false;
	memcpy(&offload, data - sizeof(offload), sizeof(offload));
	fill_checksum(&offload, data, head.captured);
	*frame = (struct shunt_frame){
		.data = data, .pool = &rx->pool, .token = rx->at, .len = head.captured
	};
	if (head.status & TP_STATUS_VLAN_VALID) {
		frame->data = put_tag(&head, data);
		frame->len += TAG_BYTES;
	}
	shunt_frame_stamp(frame, head.seconds * UINT64_C(1000000000) + head.ns);
	return true;
}

unsigned int shunt_packet_rx_take(struct shunt_packet_rx *rx,
				  struct shunt_frame *frames, unsigned int max,
				  struct shunt_port_stats *count)
{
	unsigned int n = 0;

	while (n < max && (rx->left || begin_block(rx))) {
		uint32_t at = rx->at;

		if (take(rx, &frames[n])) {
			__builtin_prefetch(rx->next);
			count->rx_bytes += frames[n++].len;
		} else {
			count->rx_dropped++;
			put_block(rx, at, 1);
		}
		if (!rx->left)
			rx->at = rx->at + 1 == rx->blocks ? 0 : rx->at + 1;
	}
	count->rx_packets += n;
	return n;
}

/* --- opening ---------------------------------------------------------------------------- */

static int set(int fd, int option, const void *value, socklen_t bytes)
{
	return setsockopt(fd, SOL_PACKET, option, value, bytes) ? -errno : 0;
}

static int set_int(int fd, int option, int value)
{
	return set(fd, option, &value, sizeof(value));
}

static int make_ring(struct shunt_packet_rx *rx,
		     const struct shunt_packet_rx_opts *opts, struct shunt_err *err)
{
	/* in V3 the size of a frame means nothing */
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	const uint32_t of_slots = opts->block_bytes > page ? opts->block_bytes : page;
	const struct tpacket_req3 request = {
		.tp_block_size = opts->slots ? of_slots : opts->block_bytes,
		.tp_block_nr = opts->slots
				       ? opts->blocks / (of_slots / opts->block_bytes)
				       : opts->blocks,
		.tp_frame_size = opts->block_bytes,
		.tp_frame_nr = opts->blocks,
		.tp_retire_blk_tov = opts->timeout_ms,
	};
	size_t bytes = (size_t)opts->blocks * opts->block_bytes;
	void *area;
	int ret =
		set_int(rx->fd, PACKET_VERSION, opts->slots ? TPACKET_V2 : TPACKET_V3);

	if (!ret)
		ret = set_int(rx->fd, PACKET_RESERVE, HEADROOM + TAG_BYTES);
	if (!ret)
		ret = set_int(rx->fd, PACKET_VNET_HDR, 1);
	if (!ret)
		ret = set(rx->fd, PACKET_RX_RING, &request,
			  opts->slots ? sizeof(struct tpacket_req) : sizeof(request));
	if (ret)
		return shunt_fail_errno(
			err, ret,
			"port %s: make a receive ring of %u blocks of %u "
			"bytes",
			opts->name, opts->blocks, opts->block_bytes);
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, rx->fd, 0);
	if (area == MAP_FAILED)
		return shunt_fail_errno(err, -errno,
					"port %s: map %zu bytes of receive ring",
					opts->name, bytes);
	rx->area = area;
	return 0;
}

/* Before anything comes: the instructions of libpcap are those of the kernel. */
static int narrow(int fd, const struct shunt_packet_rx_opts *opts,
		  struct shunt_err *err)
{
	struct bpf_program program = { 0 };
	struct sock_fprog kernel;
	pcap_t *dead;
	int ret = 0;

	_Static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "same");
	if (!*opts->filter)
		return 0;
	dead = pcap_open_dead(DLT_EN10MB, INT32_MAX);
	if (!dead)
		return shunt_fail_errno(err, -ENOMEM, "port %s: filter", opts->name);
	if (pcap_compile(dead, &program, opts->filter, 1, PCAP_NETMASK_UNKNOWN))
		ret = shunt_fail(err, -EINVAL,
				 "port %s: filter=%s: %s (see pcap-filter(7))",
				 opts->name, opts->filter, pcap_geterr(dead));
	kernel = (struct sock_fprog){ .len = (unsigned short)program.bf_len,
				      .filter = (void *)program.bf_insns };
	if (!ret &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &kernel, sizeof(kernel)))
		ret = shunt_fail_errno(err, -errno, "port %s: filter=%s", opts->name,
				       opts->filter);
	pcap_freecode(&program);
	pcap_close(dead);
	return ret;
}

static int join(int fd, const struct shunt_packet_rx_opts *opts, struct shunt_err *err)
{
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = htons(ETH_P_ALL),
					     .sll_ifindex = opts->ifindex };
	const struct packet_mreq promisc = { .mr_ifindex = opts->ifindex,
					     .mr_type = PACKET_MR_PROMISC };
	const uint32_t group = opts->fanout | opts->fanout_mode << 16;
	int ret = set_int(fd, PACKET_IGNORE_OUTGOING, 1);

	if (ret)
		return shunt_fail_errno(err, ret, "port %s: leave out what goes out",
					opts->name);
	if (opts->promisc)
		ret = set(fd, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc));
	if (ret)
		return shunt_fail_errno(err, ret,
					"port %s: receive frames for other addresses "
					"(promisc=off does without)",
					opts->name);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return shunt_fail_errno(err, -errno, "port %s: bind a packet socket",
					opts->name);
	if (opts->fanout)
		ret = set(fd, PACKET_FANOUT, &group, sizeof(group));
	if (ret)
		return shunt_fail_errno(
			err, ret,
			"port %s: join fanout group %u (its members have "
			"one fanout-mode, and one interface)",
			opts->name, opts->fanout);
	return 0;
}

int shunt_packet_rx_open(struct shunt_packet_rx **out,
			 const struct shunt_packet_rx_opts *opts, struct shunt_err *err)
{
	size_t bytes =
		sizeof(struct shunt_packet_rx) + opts->blocks * sizeof(struct block);
	struct shunt_packet_rx *rx = aligned_alloc(64, (bytes + 63) / 64 * 64);
	int ret;

	*out = NULL;
	if (!rx)
		return shunt_fail_errno(err, -ENOMEM, "open port %s", opts->name);
	memset(rx, 0, bytes);
	rx->pool = (struct shunt_pool){ .ops = &rx_ops, .headroom = HEADROOM };
	rx->slots = opts->slots;
	rx->blocks = opts->blocks;
	rx->block_bytes = opts->block_bytes;
	/* without a protocol nothing comes before the ring is there */
	rx->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = rx->fd < 0
		      ? shunt_fail_errno(err, -errno,
					 "port %s: open a packet socket, which needs "
					 "CAP_NET_RAW",
					 opts->name)
		      : make_ring(rx, opts, err);
	if (!ret)
		ret = narrow(rx->fd, opts, err);
	if (!ret)
		ret = join(rx->fd, opts, err);
	if (ret)
		shunt_packet_rx_close(rx);
	else
		*out = rx;
	return ret;
}

void shunt_packet_rx_close(struct shunt_packet_rx *rx)
{
	if (!rx)
		return;
	if (rx->area)
		munmap(rx->area, (size_t)rx->blocks * rx->block_bytes);
	shunt_cleanup_fd(&rx->fd);
	free(rx);
}

struct shunt_pool *shunt_packet_rx_pool(struct shunt_packet_rx *rx)
{
	return &rx->pool;
}

int shunt_packet_rx_fd(const struct shunt_packet_rx *rx)
{
	return rx->fd;
}

int shunt_packet_rx_stats(struct shunt_packet_rx *rx, struct shunt_port_stats *count,
			  struct shunt_err *err)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t bytes = sizeof(stats);

	if (getsockopt(rx->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes))
		return shunt_fail_errno(err, -errno,
					"ask a packet socket what it lost");
	count->rx_ring_full += stats.tp_drops;
	count->rx_fill_empty += stats.tp_freeze_q_cnt;
	return 0;
}
