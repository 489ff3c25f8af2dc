/* SPDX-License-Identifier: BSD-2-Clause */
/* Our own ports as contenders: a worker on CPU 0 that receives, sends, or does both. */
#pragma once

#include "bench/ports_stage.h"
#include "user/io/af_xdp.h"
#include "user/rt/worker.h"

struct figure {
	uint64_t packets; /* that came through */
	uint64_t taken;	  /* that the program under test had in hand */
	uint64_t lost;	  /* before they came into its hands, as it tells itself */
	double seconds, cpu;
};

struct own {
	struct shunt_port *in, *out;
	bool swap; /* MAC addresses */
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int at, n; /* what waits to be sent */
	uint64_t moved;
	uint8_t template[PLAIN_BYTES];
};

/* --- what a worker does -------------------------------------------------------------- */

static inline int own_drop(void *self, struct shunt_err *err)
{
	struct own *own = self;
	unsigned int n = shunt_port_rx(own->in, own->frames, SHUNT_BURST);
	int ret = n ? 0 : shunt_port_kick(own->in, err);

	shunt_frames_put(own->frames, n);
	own->moved += n;
	return ret ? ret : (int)n;
}

/* As testpmd's txonly: each frame is written anew. */
static inline int own_generate(void *self, struct shunt_err *err)
{
	struct own *own = self;
	unsigned int i, taken;
	int ret;

	if (own->at == own->n) {
		own->at = 0;
		own->n = shunt_pool_get(own->out->pool, own->frames, SHUNT_BURST);
		for (i = 0; i < own->n; i++) {
			memcpy(own->frames[i].data, own->template, PLAIN_BYTES);
			own->frames[i].len = PLAIN_BYTES;
		}
	}
	taken = shunt_port_tx(own->out, own->frames + own->at, own->n - own->at);
	own->at += taken;
	own->moved += taken;
	ret = shunt_port_kick(own->out, err);
	return ret ? ret : (int)taken;
}

static inline void own_swap(struct own *own)
{
	unsigned int i;

	for (i = 0; i < own->n; i++) {
		uint8_t mac[6];

		memcpy(mac, own->frames[i].data, 6);
		memmove(own->frames[i].data, own->frames[i].data + 6, 6);
		memcpy(own->frames[i].data + 6, mac, 6);
	}
}

/* What is not taken waits, and nothing more is received meanwhile: no loss in here. */
static inline int own_forward(void *self, struct shunt_err *err)
{
	struct own *own = self;
	unsigned int taken;
	int ret;

	if (own->at == own->n) {
		own->at = 0;
		own->n = shunt_port_rx(own->in, own->frames, SHUNT_BURST);
		if (own->swap)
			own_swap(own);
	}
	taken = shunt_port_tx(own->out, own->frames + own->at, own->n - own->at);
	own->at += taken;
	own->moved += taken;
	ret = shunt_port_kick(own->out, err);
	if (!ret && !taken)
		ret = shunt_port_kick(own->in, err);
	return ret ? ret : (int)taken;
}

static inline unsigned int own_wait(void *self, struct pollfd *fds, unsigned int max)
{
	struct own *own = self;

	return own->in ? own->in->ops->wait(own->in, fds, max) : 0;
}

/* --- a measurement --------------------------------------------------------------------- */

static inline void own_fail(const struct shunt_err *err)
{
	fprintf(stderr, "bench: %s\n", err->message);
	exit(1);
}

static inline struct shunt_port *own_open(const struct stage *stage, const char *text,
					  struct shunt_pool *pool)
{
	struct shunt_port_opts opts = { .sz = sizeof(opts), .pool = pool };
	struct shunt_err err = { 0 };
	struct shunt_port *port;

	if (shunt_port_open(&port, text, &opts, &err))
		own_fail(&err);
	if (strstr(text, "rx=on") &&
	    shunt_af_xdp_feed(port, stage_map(stage), 0, NULL, &err))
		own_fail(&err);
	return port;
}

static inline uint64_t own_lost(struct shunt_port *port)
{
	struct shunt_port_stats stats;
	struct shunt_err err = { 0 };

	if (shunt_port_stats(port, &stats, &err))
		own_fail(&err);
	return stats.rx_dropped + stats.rx_ring_full;
}

static inline void own_work(struct own *own, int (*run)(void *, struct shunt_err *),
			    enum shunt_wait wait, double seconds, struct figure *figure)
{
	const struct shunt_task task = {
		.name = "bench", .self = own, .run = run, .wait = own_wait
	};
	const struct shunt_worker_opts opts = { .sz = sizeof(opts),
						.name = "bench",
						.core = 0,
						.wait = wait,
						.tasks = &task,
						.count = 1 };
	const struct timespec time = { .tv_sec = (time_t)seconds,
				       .tv_nsec = (long)((seconds - (time_t)seconds) *
							 1e9) };
	struct shunt_workers *workers;
	struct shunt_worker_time spent;
	struct shunt_err err = { 0 };
	uint64_t start;

	if (own->in)
		figure->lost = own_lost(own->in);
	start = shunt_now_ns();
	if (shunt_workers_start(&workers, &opts, 1, &err))
		own_fail(&err);
	nanosleep(&time, NULL);
	figure->seconds = (shunt_now_ns() - start) / 1e9;
	shunt_worker_time(workers, 0, &spent);
	if (shunt_workers_stop(workers, &err))
		own_fail(&err);
	figure->cpu = spent.cpu_ns / 1e9;
	if (own->in)
		figure->lost = own_lost(own->in) - figure->lost;
	figure->packets = figure->taken = own->moved;
}
