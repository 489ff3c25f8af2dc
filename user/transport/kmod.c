/* SPDX-License-Identifier: BSD-2-Clause */
/* kmod://: UDP that Shunt's kernel module takes in a netfilter hook and hands over by a
 * mapped ring (maps/kmod.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps/kmod.h"
#include "user/transport/backends.h"
#include "user/transport/sock.h"

#define DEVICE "/dev/" SHUNT_KMOD_DEVICE
#define SLOTS UINT64_C(1024)
#define TX_SLOTS UINT64_C(256)
#define SLOT_STEP 2048u /* bytes: the longest datagram decides how many of them */
#define RETRY_NS UINT64_C(100000) /* what found no room is tried again */

_Static_assert(sizeof(struct shunt_kmod_address) == sizeof(struct shunt_endpoint) &&
		       offsetof(struct shunt_kmod_address, port) ==
			       offsetof(struct shunt_endpoint, port) &&
		       offsetof(struct shunt_kmod_address, l3) ==
			       offsetof(struct shunt_endpoint, l3),
	       "copied from one into the other");

struct kmod_options {
	uint64_t slots, tx_slots;
};

/* The slots that we lend, and that go back to the module. */
struct slots {
	struct shunt_pool pool;
	struct shunt_kmod_head *head; /* the area's begin */
	uint32_t *free, *filled;
	uint8_t *first;
	uint32_t mask, bytes;
	uint32_t at;	  /* of the filled ring: what comes next */
	atomic_flag busy; /* whoever gives some back has it */
	uint32_t free_at; /* of the free ring: where the next goes; under busy */
};

struct kmod {
	struct shunt_transport transport;
	struct slots slots;
	int fd;
	size_t area_bytes;
	uint8_t *tx;
	uint32_t tx_mask, tx_at;
	uint32_t waiting;	     /* slots that are READY and not sent yet */
	struct shunt_endpoint from;  /* who sent last, */
	struct shunt_peer_state *by; /* and what peer that is; NULL: not known */
};

static struct kmod *of(struct shunt_transport *transport)
{
	return (struct kmod *)transport;
}

/* --- slots ------------------------------------------------------------------------------ */

static unsigned int slots_get(struct shunt_pool *pool, struct shunt_frame *frames,
			      unsigned int n)
{
	(void)pool;
	(void)frames;
	(void)n;
	return 0;
}

static void slots_put(struct shunt_pool *pool, const struct shunt_frame *frames,
		      unsigned int n)
{
	struct slots *slots = (struct slots *)pool;
	unsigned int i;

	/* acquire: pairs with the clear below; free_at is of who was here before */
	while (atomic_flag_test_and_set_explicit(&slots->busy, memory_order_acquire))
		;
	for (i = 0; i < n; i++)
		slots->free[slots->free_at++ & slots->mask] = (uint32_t)frames[i].token;
	/* pairs with the module's acquire: the numbers are written, and we are done with
	 * the slots */
	__atomic_store_n(&slots->head->free_producer, slots->free_at, __ATOMIC_RELEASE);
	atomic_flag_clear_explicit(&slots->busy, memory_order_release);
}

static const struct shunt_pool_ops slots_ops = { .get = slots_get, .put = slots_put };

static struct shunt_kmod_slot *slot_of(const struct slots *slots, uint32_t number)
{
	return (struct shunt_kmod_slot *)(slots->first + (size_t)number * slots->bytes);
}

/* All of them are the module's, in the beginning. */
static void give_all(struct slots *slots)
{
	uint32_t i;

	for (i = 0; i <= slots->mask; i++)
		slots->free[i] = i;
	slots->free_at = slots->mask + 1;
	__atomic_store_n(&slots->head->free_producer, slots->free_at, __ATOMIC_RELEASE);
}

/* --- receiving -------------------------------------------------------------------------- */

static struct shunt_peer_state *sender(struct kmod *k,
				       const struct shunt_kmod_slot *slot)
{
	if (k->by && !memcmp(&k->from, &slot->peer, sizeof(k->from)))
		return k->by;
	memcpy(&k->from, &slot->peer, sizeof(k->from));
	k->by = shunt_transport_peer(&k->transport, &k->from, true);
	return k->by;
}

static unsigned int kmod_rx(struct shunt_transport *transport,
			    struct shunt_datagram *datagrams, unsigned int max)
{
	struct kmod *k = of(transport);
	struct slots *slots = &k->slots;
	/* pairs with the module's release: slots and numbers are written */
	uint32_t end = __atomic_load_n(&slots->head->filled_producer, __ATOMIC_ACQUIRE);
	unsigned int got = 0;

	if (slots->at == end)
		return 0;
	while (slots->at != end && got < max) {
		uint32_t number = slots->filled[slots->at++ & slots->mask];
		struct shunt_kmod_slot *slot = slot_of(slots, number);

		datagrams[got].frame = (struct shunt_frame){
			.data = (uint8_t *)slot + SHUNT_KMOD_SLOT_HEAD,
			.pool = &slots->pool,
			.token = number,
			.len = slot->len,
		};
		datagrams[got].peer = sender(k, slot);
		if (datagrams[got].peer)
			got++;
		else
			slots_put(&slots->pool, &datagrams[got].frame, 1);
	}
	/* for poll(): so much we have taken */
	__atomic_store_n(&slots->head->filled_consumer, slots->at, __ATOMIC_RELEASE);
	transport->count.rx_datagrams += got;
	return got;
}

/* --- sending ---------------------------------------------------------------------------- */

/* Has the module send what is READY, as far as there is room. */
static void ring_bell(struct kmod *k)
{
	int sent;

	k->transport.count.system_calls++;
	sent = ioctl(k->fd, SHUNT_KMOD_SEND);
	if (sent > 0)
		k->waiting -= (uint32_t)sent;
}

/* The next slot to send from, or NULL. */
static struct shunt_kmod_slot *next_slot(struct kmod *k)
{
	struct shunt_kmod_slot *slot =
		(struct shunt_kmod_slot *)(k->tx + (size_t)(k->tx_at & k->tx_mask) *
							   k->slots.bytes);

	if (k->waiting > k->tx_mask)
		ring_bell(k);
	/* pairs with the module's release: it is done with the bytes */
	return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SHUNT_KMOD_FREE
		       ? slot
		       : NULL;
}

static int kmod_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		   unsigned int n)
{
	struct kmod *k = of(transport);
	unsigned int i;

	for (i = 0; i < n; i++) {
		const struct shunt_frame *frame = &datagrams[i].frame;
		struct shunt_kmod_slot *slot = next_slot(k);

		if (!slot)
			break;
		if (frame->len > k->slots.pool.room) {
			transport->count.tx_failed++;
			continue;
		}
		memcpy((uint8_t *)slot + SHUNT_KMOD_SLOT_HEAD, frame->data, frame->len);
		slot->len = frame->len;
		memcpy(&slot->peer, &datagrams[i].peer->remote, sizeof(slot->peer));
		/* pairs with the module's acquire: the slot is written */
		__atomic_store_n(&slot->state, SHUNT_KMOD_READY, __ATOMIC_RELEASE);
		k->tx_at++;
		k->waiting++;
	}
	if (k->waiting)
		ring_bell(k);
	for (n = 0; n < i; n++)
		shunt_frames_put(&datagrams[n].frame, 1);
	return (int)i;
}

static int kmod_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct kmod *k = of(transport);

	(void)err;
	if (k->waiting)
		ring_bell(k);
	return 0;
}

static uint64_t kmod_due(struct shunt_transport *transport)
{
	return of(transport)->waiting ? shunt_now_ns() + RETRY_NS : UINT64_MAX;
}

static unsigned int kmod_wait(struct shunt_transport *transport, struct pollfd *fds,
			      unsigned int max)
{
	if (!max)
		return 0;
	fds[0] = (struct pollfd){ .fd = of(transport)->fd, .events = POLLIN };
	return 1;
}

/* --- peers ------------------------------------------------------------------------------ */

static int kmod_peer_open(struct shunt_transport *transport,
			  struct shunt_peer_state *peer, uint64_t deadline_ns,
			  struct shunt_err *err)
{
	char text[SHUNT_ENDPOINT_TEXT];

	(void)deadline_ns;
	if (transport->local.l3 == SHUNT_L3_IP4 && peer->remote.l3 != SHUNT_L3_IP4)
		return shunt_fail(err, -EAFNOSUPPORT,
				  "peer %s: this transport is at an IPv4 address; open "
				  "it at an IPv6 one, or at [::]",
				  shunt_endpoint_text(&peer->remote, text));
	return 0;
}

static void kmod_peer_close(struct shunt_transport *transport,
			    struct shunt_peer_state *peer)
{
	struct kmod *k = of(transport);

	if (k->by == peer)
		k->by = NULL;
}

/* --- opening ---------------------------------------------------------------------------- */

static const char *kmod_absent(char *room, size_t bytes)
{
	if (!access(DEVICE, F_OK))
		return NULL;
	snprintf(room, bytes,
		 "there is no " DEVICE ": it comes with Shunt's kernel module, which "
		 "`make kmod KERNEL=…` builds and insmod loads, if this kernel takes "
		 "modules (kmod/README.md)");
	return room;
}

static int fail_bind(const struct shunt_kmod_bind *bind, const char *where,
		     struct shunt_err *err)
{
	int ret = -errno;

	if (ret == -EPROTO)
		return shunt_fail(err, ret,
				  DEVICE " is of another version of Shunt than this "
					 "one (%u): build and load its module anew",
				  bind->abi);
	if (ret == -EINVAL)
		return shunt_fail(
			err, ret,
			"bind %s: %u and %u slots of %u bytes are no powers of "
			"two from %u to %u, or too much together",
			where, bind->slots, bind->tx_slots, bind->slot_bytes,
			SHUNT_KMOD_SLOTS_MIN, SHUNT_KMOD_SLOTS_MAX);
	return shunt_fail_errno(err, ret, "bind %s by " DEVICE, where);
}

static int map(struct kmod *k, const struct shunt_kmod_bind *bind,
	       struct shunt_err *err)
{
	struct slots *slots = &k->slots;
	uint8_t *area =
		mmap(NULL, bind->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);

	if (area == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map %llu bytes of " DEVICE,
					(unsigned long long)bind->bytes);
	k->area_bytes = bind->bytes;
	k->tx = area + bind->tx_at;
	k->tx_mask = bind->tx_slots - 1;
	*slots = (struct slots){
		.pool = { .ops = &slots_ops,
			  .room = bind->slot_bytes - SHUNT_KMOD_SLOT_HEAD },
		.head = (struct shunt_kmod_head *)area,
		.free = (uint32_t *)(area + bind->free_at),
		.filled = (uint32_t *)(area + bind->filled_at),
		.first = area + bind->slots_at,
		.mask = bind->slots - 1,
		.bytes = bind->slot_bytes,
		.busy = ATOMIC_FLAG_INIT,
	};
	give_all(slots);
	return 0;
}

static int bind_port(struct kmod *k, const struct kmod_options *options,
		     struct shunt_err *err)
{
	struct shunt_transport *transport = &k->transport;
	uint32_t least = transport->datagram_max + SHUNT_KMOD_SLOT_HEAD;
	struct shunt_kmod_bind bind = {
		.abi = SHUNT_KMOD_ABI,
		.slots = (uint32_t)options->slots,
		.tx_slots = (uint32_t)options->tx_slots,
		.slot_bytes = (least + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP,
	};
	char text[SHUNT_ENDPOINT_TEXT];

	if (bind.slot_bytes > SHUNT_KMOD_SLOT_BYTES_MAX)
		bind.slot_bytes = SHUNT_KMOD_SLOT_BYTES_MAX;
	memcpy(&bind.local, &transport->local, sizeof(bind.local));
	shunt_endpoint_text(&transport->local, text);
	if (ioctl(k->fd, SHUNT_KMOD_BIND, &bind))
		return fail_bind(&bind, text, err);
	memcpy(&transport->local, &bind.local, sizeof(transport->local));
	return map(k, &bind, err);
}

static int kmod_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		     const void *options, struct shunt_err *err)
{
	struct kmod *k = of(transport);
	char room[256];

	(void)uri;
	k->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (k->fd < 0 && errno == ENOENT)
		return shunt_fail(err, -EPROTONOSUPPORT, "%s",
				  kmod_absent(room, sizeof(room)));
	if (k->fd < 0)
		return shunt_fail_errno(err, -errno, "open " DEVICE);
	transport->caps = SHUNT_TRANSPORT_DATAGRAMS | SHUNT_TRANSPORT_BLOCKS;
	transport->datagram_max = (uint32_t)transport->options.mtu;
	if (!transport->datagram_max)
		transport->datagram_max = shunt_sock_payload(&transport->local);
	if (transport->datagram_max > transport->pool->room)
		transport->datagram_max = transport->pool->room;
	return bind_port(k, options, err);
}

static void kmod_close(struct shunt_transport *transport)
{
	struct kmod *k = of(transport);

	if (k->waiting)
		ring_bell(k);
	if (k->slots.head)
		munmap(k->slots.head, k->area_bytes);
	if (k->fd >= 0)
		close(k->fd);
}

/* --- what it is ------------------------------------------------------------------------- */

static int kmod_stats(struct shunt_transport *transport,
		      struct shunt_transport_stats *stats, struct shunt_err *err)
{
	struct shunt_kmod_stats told;

	if (ioctl(of(transport)->fd, SHUNT_KMOD_STATS, &told))
		return shunt_fail_errno(err, -errno, "transport %s: ask " DEVICE,
					transport->name);
	stats->tx_datagrams += told.tx;
	stats->tx_failed += told.tx_failed;
	stats->rx_dropped += told.rx_full + told.rx_long;
	return 0;
}

static int kmod_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct kmod *k = of(transport);

	if (!cJSON_AddNumberToObject(json, "slots", k->slots.mask + 1) ||
	    !cJSON_AddNumberToObject(json, "tx_slots", k->tx_mask + 1) ||
	    !cJSON_AddNumberToObject(json, "slot_bytes", k->slots.bytes))
		return -ENOMEM;
	return 0;
}

#define AT(member) .offset = offsetof(struct kmod_options, member)

static const struct shunt_spec_row rows[] = {
	{ "slots", SHUNT_SPEC_NUMBER, SHUNT_KMOD_SLOTS_MIN, SHUNT_KMOD_SLOTS_MAX,
	  AT(slots), .value = "N",
	  .help = "datagrams that may wait or be lent, a power of two (default: "
		  "1024)" },
	{ "tx-slots", SHUNT_SPEC_NUMBER, SHUNT_KMOD_SLOTS_MIN, SHUNT_KMOD_SLOTS_MAX,
	  AT(tx_slots), .value = "N",
	  .help = "datagrams that one call may send, a power of two (default: 256)" },
	{ 0 },
};

static const struct kmod_options defaults = { .slots = SLOTS, .tx_slots = TX_SLOTS };

const struct shunt_transport_ops shunt_kmod_ops = {
	.scheme = "kmod",
	.help = "UDP from Shunt's kernel module, by a mapped ring; see kmod/README.md",
	.options = rows,
	.options_bytes = sizeof(struct kmod_options),
	.defaults = &defaults,
	.bytes = sizeof(struct kmod),
	.peer_bytes = sizeof(struct shunt_peer_state),
	.absent = kmod_absent,
	.open = kmod_open,
	.close = kmod_close,
	.peer_open = kmod_peer_open,
	.peer_close = kmod_peer_close,
	.tx = kmod_tx,
	.rx = kmod_rx,
	.kick = kmod_kick,
	.wait = kmod_wait,
	.due = kmod_due,
	.stats = kmod_stats,
	.describe = kmod_describe,
};
