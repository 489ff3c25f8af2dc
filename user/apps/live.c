/* SPDX-License-Identifier: BSD-2-Clause */
/* generate --live: frames that the kernel makes, without a copy from user space. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "maps/live.h"

#include "live.skel.h"
#include "user/apps/app.h"
#include "user/net/number.h"

#define LIVE_REPEAT (1u << 20) /* frames a call, which costs about 20 ms of setup */
#define LIVE_BATCH 64
#define LIVE_BYTES_MAX 3520 /* what the kernel takes: a page without its head room */

struct live {
	struct shunt_app app;
	struct live_bpf *bpf;
	const struct shunt_run_frames *frames;
};

/* --- opening ------------------------------------------------------------------------ */

static int check(const struct shunt_run_frames *frames, struct shunt_err *err)
{
	const struct shunt_run_frame *frame = frames->frame;

	if (frames->count > SHUNT_LIVE_FLOWS)
		return shunt_fail(err, -E2BIG,
				  "generate: live frames come in %u flows, not in %u",
				  SHUNT_LIVE_FLOWS, frames->count);
	if (frame->len > LIVE_BYTES_MAX)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: a live frame has %u bytes at most, not %u",
				  LIVE_BYTES_MAX, frame->len);
	if (frame->payload + SHUNT_NUMBER_BYTES > SHUNT_LIVE_OFFSET_MASK)
		return shunt_fail(err, -EMSGSIZE,
				  "generate: the headers of a live frame are too long");
	return 0;
}

static void plan(struct live *live, unsigned int ifindex)
{
	const struct shunt_run_frame *first = live->frames->frame;
	uint32_t words = first->len / 4, i;

	if (words > SHUNT_LIVE_WORDS)
		words = SHUNT_LIVE_WORDS;
	live->bpf->rodata->shunt_live_plan = (struct shunt_live_plan){
		.ifindex = ifindex,
		.flows = live->frames->count,
		.words = words,
		.payload = first->payload,
		.check = first->check,
		.udp = first->udp,
	};
	for (i = 0; i < live->frames->count; i++)
		memcpy(live->bpf->bss->shunt_live_head[i],
		       live->frames->bytes + live->frames->frame[i].at, words * 4ul);
}

static int load(struct live *live, struct shunt_err *err)
{
	const char *interface = live->app.config->generate.interface;
	unsigned int ifindex = if_nametoindex(interface);
	int ret;

	if (!ifindex)
		return shunt_fail(err, -ENODEV,
				  "generate: there is no interface \"%s\"", interface);
	live->bpf = live_bpf__open();
	if (!live->bpf)
		return shunt_fail_errno(err, -errno, "generate: open the program");
	plan(live, ifindex);
	ret = live_bpf__load(live->bpf);
	return ret ? shunt_fail_errno(err, ret,
				      "generate: load the program that makes live "
				      "frames")
		   : 0;
}

static void close_live(struct shunt_app *app)
{
	live_bpf__destroy(((struct live *)app)->bpf);
	free(app);
}

static int open_live(struct shunt_app **out, const struct shunt_run_app *config,
		     struct shunt_port *const *ports, struct shunt_err *err)
{
	struct live *live = calloc(1, sizeof(*live));
	int ret;

	*out = NULL;
	if (!live)
		return shunt_fail_errno(err, -ENOMEM, "generate");
	shunt_app_init(&live->app, &shunt_app_live, config, ports);
	live->frames = &config->generate.frames;
	ret = check(live->frames, err);
	if (!ret)
		ret = load(live, err);
	if (ret) {
		close_live(&live->app);
		return ret;
	}
	*out = &live->app;
	return 0;
}

/* --- running ------------------------------------------------------------------------ */

static uint64_t left(const struct live *live)
{
	uint64_t packets = live->app.config->generate.packets;

	return packets ? packets - live->app.count.sent : LIVE_REPEAT;
}

static int burst_of(const struct live *live)
{
	return left(live) < LIVE_REPEAT ? (int)left(live) : (int)LIVE_REPEAT;
}

static int run_live(struct shunt_app *app, struct shunt_err *err)
{
	struct live *live = (struct live *)app;
	const struct shunt_run_frame *first = live->frames->frame;
	struct xdp_md context = { .data_end = first->len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = live->frames->bytes + first->at,
		    .data_size_in = first->len, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = burst_of(live),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = LIVE_BATCH);
	uint64_t before = live->bpf->bss->shunt_live_made, made;
	int ret = bpf_prog_test_run_opts(bpf_program__fd(live->bpf->progs.shunt_live),
					 &opts);

	made = live->bpf->bss->shunt_live_made - before;
	app->count.sent += made;
	app->count.sent_bytes += made * first->len;
	if (ret && ret != -EINTR)
		return shunt_fail_errno(err, ret, "generate: make live frames on %s",
					app->config->generate.interface);
	return 1;
}

static int flush_live(struct shunt_app *app, struct shunt_err *err)
{
	(void)app;
	(void)err;
	return 1;
}

static void abandon_live(struct shunt_app *app)
{
	(void)app;
}

static bool live_is_done(const struct shunt_app *app)
{
	return !left((const struct live *)app);
}

static uint64_t live_due(struct shunt_app *app)
{
	(void)app;
	return 0; /* there is always something to do */
}

const struct shunt_app_ops shunt_app_live = {
	.open = open_live,
	.close = close_live,
	.run = run_live,
	.flush = flush_live,
	.abandon = abandon_live,
	.is_done = live_is_done,
	.due = live_due,
};
