/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over capture files: pcap:FILE is read, pcap:FILE,write is written. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/backends.h"
#include "user/io/pcapfile.h"
#include "user/io/pcapng.h"

#define NS_PER_S UINT64_C(1000000000)

struct options {
	unsigned int write, format, pace;
	uint64_t loop;
};

static const char *const formats[] = { "auto", "pcap", "pcapng", NULL };

static const struct shunt_spec_row option_rows[] = {
	{ "write", SHUNT_SPEC_SWITCH, .offset = offsetof(struct options, write),
	  .help = "write what is transmitted into the file; without it, the file is "
		  "read" },
	{ "format", SHUNT_SPEC_CHOICE, .choices = formats,
	  .offset = offsetof(struct options, format), .value = "FORMAT",
	  .help = "of what is written: pcap, pcapng, or auto (the default): pcapng if "
		  "the "
		  "file's name ends in .pcapng" },
	{ "loop", SHUNT_SPEC_NUMBER, .max = UINT32_MAX,
	  .offset = offsetof(struct options, loop), .value = "N",
	  .help = "read the file N times; 0: for ever" },
	{ "pace", SHUNT_SPEC_SWITCH, .offset = offsetof(struct options, pace),
	  .help = "give each packet at the time that it has in the file, counted from "
		  "the "
		  "first one" },
	{ NULL },
};

struct pcap_port {
	struct shunt_port port;
	struct options options;
	char path[SHUNT_SPEC_DEVICE];
	struct shunt_memory *memory; /* NULL: the pool is the opener's */
	int failed;		     /* -errno, and why */
	struct shunt_err why;

	/* reading */
	struct shunt_pcapfile *in;
	struct shunt_pcapfile_packet next; /* read, and not yet given */
	bool waiting;			   /* there is such a packet */
	uint64_t left;			   /* passes through the file behind this one */
	uint64_t pass;			   /* packets of this pass */
	uint64_t first_ns,
		start_ns; /* its first packet's time, and when it was given */
	int ready_fd;	  /* always readable */
	int timer_fd;	  /* for pace */

	/* writing */
	struct shunt_pcapng *out;
	uint8_t *packet; /* where one of several frames is put together */
};

static struct pcap_port *of(struct shunt_port *port)
{
	return (struct pcap_port *)port;
}

/* --- reading ------------------------------------------------------------------------ */

/* The next packet of the file into p->next; false: there is none now, or ever. */
static bool read_next(struct pcap_port *p)
{
	int ret;

	while (!p->waiting && !p->port.ended && !p->failed) {
		ret = shunt_pcapfile_next(p->in, &p->next, &p->why);
		if (ret == -EAGAIN)
			return false;
		if (ret < 0) {
			p->failed = ret;
		} else if (ret) {
			p->waiting = true;
			if (!p->pass++) {
				p->first_ns = p->next.time_ns;
				p->start_ns = shunt_now_ns();
			}
		} else if (p->left && p->pass) {
			p->left -= p->options.loop != 0;
			p->pass = 0;
			p->failed = shunt_pcapfile_rewind(p->in, &p->why);
		} else {
			p->port.ended = 1;
		}
	}
	return p->waiting;
}

/* When it is to be given, by the monotonic clock. */
static uint64_t due_ns(const struct pcap_port *p)
{
	uint64_t time_ns = p->next.time_ns;

	return p->start_ns + (time_ns > p->first_ns ? time_ns - p->first_ns : 0);
}

static unsigned int pcap_rx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int max)
{
	struct pcap_port *p = of(port);
	uint64_t now = p->options.pace ? shunt_now_ns() : 0;
	unsigned int n = 0, got;

	while (n < max && p->in && read_next(p)) {
		if (p->options.pace && due_ns(p) > now)
			break;
		got = shunt_packet_fill(port->pool, p->next.bytes, p->next.captured,
					frames + n, max - n);
		if (!got)
			break;
		shunt_frame_stamp(&frames[n], p->next.time_ns);
		port->count.rx_packets++;
		port->count.rx_bytes += p->next.captured;
		p->waiting = false;
		n += got;
	}
	return n;
}

static unsigned int wait_for(struct pollfd *fds, int fd)
{
	*fds = (struct pollfd){ .fd = fd, .events = POLLIN };
	return 1;
}

static unsigned int pcap_wait(struct shunt_port *port, struct pollfd *fds,
			      unsigned int max)
{
	struct pcap_port *p = of(port);
	struct itimerspec at = { 0 };
	uint64_t due;

	if (!max || p->out || p->port.ended || p->failed)
		return 0;
	if (!read_next(p))
		return wait_for(fds, p->port.ended || p->failed
					     ? p->ready_fd
					     : shunt_pcapfile_fd(p->in));
	due = p->options.pace ? due_ns(p) : 0;
	if (due <= shunt_now_ns())
		return wait_for(fds, p->ready_fd);
	at.it_value.tv_sec = (time_t)(due / NS_PER_S);
	at.it_value.tv_nsec = (long)(due % NS_PER_S);
	if (timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &at, NULL))
		return wait_for(fds, p->ready_fd);
	return wait_for(fds, p->timer_fd);
}

/* --- writing ------------------------------------------------------------------------ */

static int write_packet(struct pcap_port *p, const struct shunt_frame *frames,
			unsigned int n, uint32_t bytes, uint64_t now_ns)
{
	uint64_t time_ns = shunt_frame_time(frames);
	struct shunt_pcapng_packet packet = {
		.time_ns = time_ns ? time_ns : now_ns,
		.bytes = frames->data,
		.captured = bytes,
		.len = bytes,
	};

	if (n > 1) {
		shunt_packet_copy(p->packet, frames, n);
		packet.bytes = p->packet;
	}
	return shunt_pcapng_put(p->out, &packet, &p->why);
}

static unsigned int pcap_tx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int n)
{
	struct pcap_port *p = of(port);
	unsigned int done = 0, count;
	struct timespec now;
	uint32_t bytes;

	if (!p->out)
		return shunt_port_tx_none(port, frames, n);
	clock_gettime(CLOCK_REALTIME, &now);
	for (; done < n; done += count) {
		count = shunt_packet_frames(frames + done, n - done, &bytes);
		if (!count)
			break;
		if (bytes > port->frame_max) {
			port->count.tx_refused++;
			continue;
		}
		if (!p->failed)
			p->failed = write_packet(p, frames + done, count, bytes,
						 (uint64_t)now.tv_sec * NS_PER_S +
							 (uint64_t)now.tv_nsec);
		if (p->failed)
			break;
		port->count.tx_packets++;
		port->count.tx_copied++;
		port->count.tx_bytes += bytes;
	}
	shunt_frames_put(frames, done);
	return done;
}

static int pcap_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct pcap_port *p = of(port);

	if (p->out && !p->failed)
		p->failed = shunt_pcapng_flush(p->out, &p->why);
	return p->failed ? shunt_fail(err, p->failed, "%s", p->why.message) : 0;
}

/* --- opening ------------------------------------------------------------------------ */

static int open_pool(struct pcap_port *p, const struct shunt_port_opts *opts,
		     struct shunt_err *err)
{
	int ret;

	p->port.pool = opts->pool;
	if (p->port.pool)
		return 0;
	ret = shunt_memory_open(&p->memory, NULL, err);
	if (!ret)
		p->port.pool = &p->memory->pool;
	return ret;
}

static int open_reader(struct pcap_port *p, const struct shunt_port_opts *opts,
		       struct shunt_err *err)
{
	int ret = shunt_pcapfile_open(&p->in, p->path, err);

	if (ret)
		return shunt_fail_in(err, ret, "port %s: ", p->port.name);
	if (p->options.loop != 1 && !shunt_pcapfile_rewinds(p->in))
		return shunt_fail(
			err, -EINVAL,
			"port %s: loop: it is no regular file, and can be read "
			"only once",
			p->port.name);
	p->left = p->options.loop ? p->options.loop - 1 : 1;
	ret = open_pool(p, opts, err);
	if (ret)
		return ret;
	if (p->port.pool->headroom < sizeof(uint64_t))
		return shunt_fail(err, -EINVAL,
				  "port %s: its pool has %u bytes of headroom, and a "
				  "packet's time takes 8",
				  p->port.name, p->port.pool->headroom);
	p->ready_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->ready_fd < 0 || p->timer_fd < 0)
		return shunt_fail_errno(err, -errno, "port %s: make a timer",
					p->port.name);
	p->port.caps =
		SHUNT_PORT_RX | SHUNT_PORT_ENDS | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI;
	return 0;
}

static int open_writer(struct pcap_port *p, const struct shunt_port_opts *opts,
		       struct shunt_err *err)
{
	const struct shunt_pcapng_opts file = {
		.sz = sizeof(file),
		.format = p->options.format == 1   ? SHUNT_PCAPNG_OLD
			  : p->options.format == 2 ? SHUNT_PCAPNG_NG
						   : shunt_pcapng_format_of(p->path),
	};
	int ret;

	if (p->options.pace || p->options.loop != 1)
		return shunt_fail(err, -EINVAL,
				  "port %s: loop and pace are for files that are read",
				  p->port.name);
	p->packet = malloc(SHUNT_PCAPNG_SNAP);
	if (!p->packet)
		return shunt_fail_errno(err, -ENOMEM, "open port %s", p->port.name);
	ret = shunt_pcapng_open(&p->out, p->path, &file, err);
	if (ret)
		return shunt_fail_in(err, ret, "port %s: ", p->port.name);
	p->port.frame_max = SHUNT_PCAPNG_SNAP;
	p->port.caps = SHUNT_PORT_TX | SHUNT_PORT_MULTI;
	return open_pool(p, opts, err);
}

static void pcap_close(struct shunt_port *port)
{
	struct pcap_port *p = of(port);

	/* what could not be written was told by kick, or can be told no more */
	(void)!shunt_pcapng_close(p->out, NULL);
	shunt_pcapfile_close(p->in);
	shunt_cleanup_fd(&p->ready_fd);
	shunt_cleanup_fd(&p->timer_fd);
	shunt_memory_close(p->memory);
	free(p->packet);
	free(p);
}

static int pcap_open(struct shunt_port **port, const struct shunt_spec *spec,
		     const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct pcap_port *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return shunt_fail_errno(err, -ENOMEM, "open port %s:%s", spec->scheme,
					spec->device);
	p->ready_fd = p->timer_fd = -1;
	p->options.loop = 1;
	shunt_port_init(&p->port, &shunt_pcap_ops, spec);
	snprintf(p->path, sizeof(p->path), "%s", spec->device);
	ret = shunt_spec_read(spec, option_rows, &p->options, err);
	if (!ret && !p->options.write && p->options.format)
		ret = shunt_fail(
			err, -EINVAL,
			"port %s: format is for files that are written; of one "
			"that is read it is found out",
			p->port.name);
	if (!ret)
		ret = p->options.write ? open_writer(p, opts, err)
				       : open_reader(p, opts, err);
	if (ret) {
		pcap_close(&p->port);
		return ret;
	}
	*port = &p->port;
	return 0;
}

static int pcap_stats(struct shunt_port *port, struct shunt_port_stats *stats,
		      struct shunt_err *err)
{
	(void)port;
	(void)stats;
	(void)err;
	return 0;
}

static int pcap_describe(struct shunt_port *port, cJSON *json)
{
	const struct pcap_port *p = of(port);
	bool fine = cJSON_AddStringToObject(json, "file", p->path) &&
		    cJSON_AddBoolToObject(json, "write", p->out != NULL) &&
		    (p->out ||
		     (cJSON_AddNumberToObject(json, "loop", (double)p->options.loop) &&
		      cJSON_AddBoolToObject(json, "pace", p->options.pace != 0)));

	return fine ? 0 : -ENOMEM;
}

const struct shunt_port_ops shunt_pcap_ops = {
	.scheme = "pcap",
	.help = "capture files, read or written: pcap and pcapng",
	.device = "FILE",
	.options = option_rows,
	.open = pcap_open,
	.close = pcap_close,
	.rx = pcap_rx,
	.tx = pcap_tx,
	.kick = pcap_kick,
	.wait = pcap_wait,
	.stats = pcap_stats,
	.describe = pcap_describe,
};
