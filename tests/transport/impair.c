/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/transport/impair.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "maps/config.h"

#include "impair.skel.h"
#include "user/base/clock.h"

struct direction {
	struct impair_bpf *skel;
	int fd;	  /* raw, to the interface that it leads to */
	int link; /* on the interface that it comes from */
};

struct impair {
	struct direction direction[2];
	uint64_t hold_ns;
	int end; /* eventfd */
	pthread_t thread;
	bool runs;
};

/* --- what waits too long ------------------------------------------------------------------- */

static void send_overdue(struct impair *impair, struct direction *direction,
			 uint64_t now)
{
	struct impair_state *state = &direction->skel->bss->impair_state;
	unsigned int i;

	for (i = 0; i < IMPAIR_SLOTS; i++) {
		struct impair_slot *slot = &state->slot[i];
		__u32 held = IMPAIR_HELD;

		/* acquire: pairs with the exchange by which the program fills the slot */
		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != IMPAIR_HELD ||
		    slot->since_ns + impair->hold_ns > now)
			continue;
		if (!__atomic_compare_exchange_n(&slot->state, &held, IMPAIR_SENDING,
						 false, __ATOMIC_ACQ_REL,
						 __ATOMIC_RELAXED))
			continue;
		if (send(direction->fd, slot->bytes, slot->len, 0) ==
		    (ssize_t)slot->len)
			__atomic_fetch_add(&state->count.waited, 1, __ATOMIC_RELAXED);
		else
			__atomic_fetch_add(&state->count.failed, 1, __ATOMIC_RELAXED);
		/* release: the program may fill it once we no longer read it */
		__atomic_store_n(&slot->state, IMPAIR_FREE, __ATOMIC_RELEASE);
	}
}

static void *look(void *self)
{
	struct impair *impair = self;
	struct pollfd end = { .fd = impair->end, .events = POLLIN };

	while (!poll(&end, 1, 1)) {
		send_overdue(impair, &impair->direction[0], shunt_now_ns());
		send_overdue(impair, &impair->direction[1], shunt_now_ns());
	}
	return NULL;
}

/* --- opening ------------------------------------------------------------------------------- */

static int fill_maps(struct impair_bpf *skel, unsigned int ifindex)
{
	const struct impair_target to = {
		.ifindex = ifindex, .prog = bpf_program__fd(skel->progs.impair_out)
	};
	struct bpf_map *maps[] = { skel->maps.impair_once, skel->maps.impair_twice,
				   skel->maps.impair_thrice };
	__u32 copies, key;
	int ret = 0;

	for (copies = 1; copies <= 3; copies++)
		for (key = 0; key < copies && !ret; key++)
			ret = bpf_map_update_elem(bpf_map__fd(maps[copies - 1]), &key,
						  &to, BPF_ANY);
	return ret;
}

static int load(struct direction *direction, const struct impair_opts *opts,
		unsigned int from, unsigned int ifindex, struct shunt_err *err)
{
	struct impair_bpf *skel = impair_bpf__open();
	int ret;

	direction->skel = skel;
	if (!skel)
		return shunt_fail_errno(err, -errno, "open the impairing program");
	skel->rodata->shunt_config.features = 0;
	skel->rodata->impair_plan = (struct impair_plan){
		.seed = opts->seed + from,
		.behind = opts->behind ? opts->behind : IMPAIR_BEHIND,
		.port = opts->port,
	};
	skel->bss->impair_state.rates = opts->rates[from];
	ret = impair_bpf__load(skel);
	if (!ret)
		ret = fill_maps(skel, ifindex);
	return ret ? shunt_fail_errno(err, ret, "load the impairing program") : 0;
}

static int open_socket(struct direction *direction, unsigned int ifindex,
		       struct shunt_err *err)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
					.sll_ifindex = (int)ifindex };
	const int on = 1;

	direction->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (direction->fd < 0 ||
	    bind(direction->fd, (const struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(direction->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		return shunt_fail_errno(err, -errno, "open a raw socket");
	return 0;
}

/* Once both ways are loaded: what an end sends is to find its way back at once. */
static int attach(struct direction *direction, const char *interface,
		  unsigned int ifindex, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	direction->link =
		bpf_link_create(bpf_program__fd(direction->skel->progs.impair_in),
				(int)ifindex, BPF_XDP, &opts);
	return direction->link < 0
		       ? shunt_fail_errno(err, direction->link,
					  "impair what %s receives", interface)
		       : 0;
}

static int open_all(struct impair *impair, const struct impair_opts *opts,
		    struct shunt_err *err)
{
	unsigned int ifindex[2], i;
	int ret;

	for (i = 0; i < 2; i++)
		if (!(ifindex[i] = if_nametoindex(opts->interface[i])))
			return shunt_fail_errno(err, -errno, "%s", opts->interface[i]);
	for (i = 0; i < 2; i++) {
		ret = load(&impair->direction[i], opts, i, ifindex[!i], err);
		if (!ret)
			ret = open_socket(&impair->direction[i], ifindex[!i], err);
		if (ret)
			return ret;
	}
	for (i = 0; i < 2; i++) {
		ret = attach(&impair->direction[i], opts->interface[i], ifindex[i],
			     err);
		if (ret)
			return ret;
	}
	impair->end = eventfd(0, EFD_CLOEXEC);
	if (impair->end < 0)
		return shunt_fail_errno(err, -errno, "make an eventfd");
	ret = pthread_create(&impair->thread, NULL, look, impair);
	impair->runs = !ret;
	return ret ? shunt_fail_errno(err, -ret, "start a thread") : 0;
}

int impair_open(struct impair **out, const struct impair_opts *opts,
		struct shunt_err *err)
{
	struct impair *impair = calloc(1, sizeof(*impair));
	int ret;

	*out = NULL;
	if (!impair)
		return shunt_fail_errno(err, -ENOMEM, "impair %s", opts->interface[0]);
	impair->hold_ns = opts->hold_ns ? opts->hold_ns : IMPAIR_HOLD_NS;
	impair->end = -1;
	for (int i = 0; i < 2; i++)
		impair->direction[i].fd = impair->direction[i].link = -1;
	ret = open_all(impair, opts, err);
	if (ret) {
		impair_close(impair);
		return ret;
	}
	*out = impair;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void impair_close(struct impair *impair)
{
	const uint64_t one = 1;
	int i;

	if (!impair)
		return;
	if (impair->runs && write(impair->end, &one, sizeof(one)) == sizeof(one))
		pthread_join(impair->thread, NULL);
	close_fd(impair->end);
	for (i = 0; i < 2; i++) {
		close_fd(impair->direction[i].link);
		close_fd(impair->direction[i].fd);
		impair_bpf__destroy(impair->direction[i].skel);
	}
	free(impair);
}

/* --- while it works ------------------------------------------------------------------------ */

void impair_set(struct impair *impair, unsigned int from,
		const struct impair_rates *rates)
{
	volatile struct impair_rates *to =
		&impair->direction[from].skel->bss->impair_state.rates;

	to->loss = rates->loss;
	to->duplicate = rates->duplicate;
	to->reorder = rates->reorder;
}

void impair_read(const struct impair *impair, unsigned int from,
		 struct impair_counts *counts)
{
	const volatile struct impair_counts *now =
		&impair->direction[from].skel->bss->impair_state.count;

#define READ(name, help) counts->name = now->name;
	IMPAIR_COUNTERS(READ)
#undef READ
}
