/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/app.h"

#include "user/base/clock.h"

const struct shunt_app_ops *shunt_app_of(const struct shunt_run_app *config)
{
	switch (config->kind) {
	case SHUNT_RUN_FORWARD:
		return &shunt_app_forward;
	case SHUNT_RUN_DROP:
		return &shunt_app_drop;
	case SHUNT_RUN_ECHO:
		return &shunt_app_echo;
	default:
		return *config->generate.interface ? &shunt_app_live
						   : &shunt_app_generate;
	}
}

void shunt_app_init(struct shunt_app *app, const struct shunt_app_ops *ops,
		    const struct shunt_run_app *config, struct shunt_port *const *ports)
{
	unsigned int i;

	app->ops = ops;
	app->config = config;
	app->ports = config->ports;
	for (i = 0; i < config->ports; i++) {
		app->port[i] = ports[i];
		if (ports[i]->caps & SHUNT_PORT_RX)
			app->reads |= 1u << i;
	}
}

uint64_t shunt_app_look(void)
{
	return shunt_now_ns() + SHUNT_APP_LOOK_NS;
}

/* --- the limit ---------------------------------------------------------------------- */

/* Takes up to n packets out of what is left. */
static unsigned int claim(struct shunt_app_limit *limit, unsigned int n)
{
	uint64_t had = atomic_load_explicit(&limit->claimed, memory_order_relaxed);
	uint64_t left;

	do {
		left = had < limit->max ? limit->max - had : 0;
		if (left < n)
			n = (unsigned int)left;
	} while (n && !atomic_compare_exchange_weak_explicit(
			      &limit->claimed, &had, had + n, memory_order_relaxed,
			      memory_order_relaxed));
	return n;
}

bool shunt_app_is_full(const struct shunt_app *app)
{
	return app->limit->max &&
	       atomic_load_explicit(&app->limit->read, memory_order_relaxed) >=
		       app->limit->max;
}

static unsigned int rx_limited(struct shunt_app *app, struct shunt_port *port,
			       struct shunt_frame *frames, unsigned int max)
{
	unsigned int room = claim(app->limit, max), n;
	uint64_t before = port->count.rx_packets, packets;

	if (!room)
		return 0;
	n = shunt_port_rx(port, frames, room);
	/* a packet of several frames comes whole, or not at all */
	if (!n && room < max && port->caps & SHUNT_PORT_MULTI)
		n = shunt_port_rx(port, frames, max);
	packets = port->count.rx_packets - before;
	atomic_fetch_add_explicit(&app->limit->claimed, packets - room,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&app->limit->read, packets, memory_order_relaxed);
	return n;
}

unsigned int shunt_app_rx(struct shunt_app *app, struct shunt_port *port,
			  struct shunt_frame *frames, unsigned int max)
{
	uint64_t packets = port->count.rx_packets, bytes = port->count.rx_bytes;
	unsigned int n = app->limit->max ? rx_limited(app, port, frames, max)
					 : shunt_port_rx(port, frames, max);

	app->count.received += port->count.rx_packets - packets;
	app->count.received_bytes += port->count.rx_bytes - bytes;
	return n;
}

/* --- ports -------------------------------------------------------------------------- */

bool shunt_app_reads(const struct shunt_app *app, unsigned int port)
{
	return app->reads >> port & 1 && !app->port[port]->ended;
}

bool shunt_app_inputs_ended(const struct shunt_app *app)
{
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		if (shunt_app_reads(app, i))
			return false;
	return true;
}

int shunt_app_check(struct shunt_app *app, struct shunt_err *err)
{
	uint64_t now = shunt_now_ns();
	unsigned int i;
	int ret = 0;

	if (now < app->check_ns)
		return 0;
	app->check_ns = now + SHUNT_APP_CHECK_NS;
	for (i = 0; i < app->ports && !ret; i++)
		ret = shunt_port_kick(app->port[i], err);
	return ret;
}

bool shunt_app_must_look(const struct shunt_app *app)
{
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		if (shunt_app_reads(app, i) && !(app->port[i]->caps & SHUNT_PORT_WAIT))
			return true;
	return false;
}
