/* SPDX-License-Identifier: BSD-2-Clause */
/* drop: receives, looks at numbers if it is told to, and gives back. */
#include <errno.h>
#include <stdlib.h>

#include "user/apps/app.h"
#include "user/net/number.h"

struct drop {
	struct shunt_app app;
	uint64_t next; /* the number that would come now */
	bool begun;
};

static int open_drop(struct shunt_app **out, const struct shunt_run_app *config,
		     struct shunt_port *const *ports, struct shunt_err *err)
{
	struct drop *drop;
	unsigned int i;

	*out = NULL;
	for (i = 0; i < config->ports; i++)
		if (!(ports[i]->caps & SHUNT_PORT_RX))
			return shunt_fail(
				err, -EOPNOTSUPP,
				"drop: %s cannot receive: choose another port",
				ports[i]->name);
	drop = calloc(1, sizeof(*drop));
	if (!drop)
		return shunt_fail_errno(err, -ENOMEM, "drop");
	shunt_app_init(&drop->app, &shunt_app_drop, config, ports);
	*out = &drop->app;
	return 0;
}

static void close_drop(struct shunt_app *app)
{
	free(app);
}

/* Of what is left out, what comes late is no longer missing. */
static void take_number(struct drop *drop, uint64_t number)
{
	struct shunt_app_counts *count = &drop->app.count;

	count->numbered++;
	if (!drop->begun || number >= drop->next) {
		count->missing += drop->begun ? number - drop->next : 0;
		drop->next = number + 1;
		drop->begun = true;
		return;
	}
	count->late++;
	count->missing -= count->missing > 0;
}

static void look_at_numbers(struct drop *drop, const struct shunt_frame *frames,
			    unsigned int n)
{
	bool begins = true;
	uint64_t number;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (begins && shunt_number_read(frames[i].data, frames[i].len, &number))
			take_number(drop, number);
		begins = !(frames[i].flags & SHUNT_FRAME_MORE);
	}
}

static int run_drop(struct shunt_app *app, struct shunt_err *err)
{
	struct drop *drop = (struct drop *)app;
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int i, n;
	int done = 0;

	for (i = 0; i < app->ports; i++) {
		uint64_t packets = app->count.received;

		n = shunt_app_rx(app, app->port[i], frames, SHUNT_BURST);
		if (app->config->number)
			look_at_numbers(drop, frames, n);
		shunt_frames_put(frames, n);
		app->count.consumed += app->count.received - packets;
		done += (int)n;
	}
	return done ? done : shunt_app_check(app, err);
}

static int flush_drop(struct shunt_app *app, struct shunt_err *err)
{
	(void)app;
	(void)err;
	return 1;
}

static void abandon_drop(struct shunt_app *app)
{
	(void)app;
}

static bool drop_is_done(const struct shunt_app *app)
{
	return shunt_app_is_full(app) || shunt_app_inputs_ended(app);
}

static uint64_t drop_due(struct shunt_app *app)
{
	return shunt_app_must_look(app) ? shunt_app_look() : UINT64_MAX;
}

const struct shunt_app_ops shunt_app_drop = {
	.open = open_drop,
	.close = close_drop,
	.run = run_drop,
	.flush = flush_drop,
	.abandon = abandon_drop,
	.is_done = drop_is_done,
	.due = drop_due,
};
