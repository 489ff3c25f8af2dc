/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <pcap/pcap.h>

#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/net/line.h"
#include "loader/pkt_json.h"

#define FILE_BUFFER_BYTES (256 * 1024)
#define PCAP_SNAP_BYTES 262144 /* libpcap's own maximum: nothing is cut */

struct dump {
	const struct shunt_consume_opts *opts;
	pcap_t *pcap; /* with a file only */
	pcap_dumper_t *file;
};

/* --- one packet -------------------------------------------------------------- */

static int dump_line(const struct dump *dump, const struct timespec *now,
		     unsigned int queue, const struct shunt_frame *frame)
{
	char text[SHUNT_LINE_ROOM], clock[16];
	struct shunt_pkt pkt;
	struct tm tm;
	int reason = shunt_frame_parse(frame->data, frame->len, &pkt);

	localtime_r(&now->tv_sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(dump->opts->out, "%s.%06ld q%u %4u %s\n", clock, now->tv_nsec / 1000,
		queue, frame->len, shunt_line(&pkt, reason, text));
	return 0;
}

static cJSON *dump_object(const struct timespec *now, unsigned int queue,
			  const struct shunt_frame *frame)
{
	_json_ cJSON *json = cJSON_CreateObject();
	_json_ cJSON *packet = NULL;
	struct shunt_pkt pkt;
	int reason = shunt_frame_parse(frame->data, frame->len, &pkt);

	packet = shunt_pkt_json(&pkt);
	if (!json || !packet ||
	    !cJSON_AddStringToObject(json, "schema", "shunt.run.dump/1"))
		return NULL;
	shunt_json_add_u64(json, "time_ns",
			   now->tv_sec * UINT64_C(1000000000) + now->tv_nsec);
	shunt_json_add_u64(json, "queue", queue);
	if (reason >= 0 &&
	    !cJSON_AddStringToObject(json, "malformed", shunt_frame_fault(reason)))
		return NULL;
	if (!cJSON_AddItemToObject(json, "packet", packet))
		return NULL;
	shunt_steal(&packet);
	return shunt_steal(&json);
}

static int dump_json(const struct dump *dump, const struct timespec *now,
		     unsigned int queue, const struct shunt_frame *frame,
		     struct shunt_err *err)
{
	_json_ cJSON *json = dump_object(now, queue, frame);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "show a packet");
	fprintf(dump->opts->out, "%s\n", text);
	return 0;
}

static int dump_pcap(const struct dump *dump, const struct timespec *now,
		     const struct shunt_frame *frame)
{
	/* With nanosecond precision tv_usec holds nanoseconds (pcap-savefile(5)). */
	const struct pcap_pkthdr header = {
		.ts = { .tv_sec = now->tv_sec, .tv_usec = now->tv_nsec },
		.caplen = frame->len,
		.len = frame->len,
	};

	pcap_dump((u_char *)dump->file, &header, frame->data);
	return 0;
}

/* --- the sink ---------------------------------------------------------------- */

static FILE *dump_stream(const struct dump *dump)
{
	return dump->file ? pcap_dump_file(dump->file) : dump->opts->out;
}

static int check_stream(const struct dump *dump, struct shunt_err *err)
{
	const char *name = dump->file ? dump->opts->write : "the output";

	if (!ferror(dump_stream(dump)))
		return 0;
	return shunt_fail(err, -EIO, "write to %s: it is closed or its disk is full",
			  name);
}

static int dump_burst(void *self, unsigned int queue, const struct shunt_frame *frames,
		      unsigned int n, struct shunt_err *err)
{
	const struct dump *dump = self;
	struct timespec now;
	unsigned int i;
	int code = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (i = 0; i < n && !code; i++) {
		if (dump->file)
			code = dump_pcap(dump, &now, &frames[i]);
		else if (dump->opts->json)
			code = dump_json(dump, &now, queue, &frames[i], err);
		else
			code = dump_line(dump, &now, queue, &frames[i]);
	}
	return code ? code : check_stream(dump, err);
}

static int dump_idle(void *self, struct shunt_err *err)
{
	const struct dump *dump = self;

	fflush(dump_stream(dump));
	return check_stream(dump, err);
}

static int dump_tick(void *self, const struct shunt_consume_totals *totals,
		     struct shunt_err *err)
{
	const struct shunt_consume_queue *sum = &totals->sum;

	if (!totals->final)
		return 0;
	fprintf(stderr, "%" PRIu64 " packets, %" PRIu64 " lost", sum->packets,
		shunt_consume_lost(sum));
	if (sum->unread)
		fprintf(stderr, ", %" PRIu64 " unread", sum->unread);
	fputc('\n', stderr);
	return dump_idle(self, err);
}

/* --- the file ---------------------------------------------------------------- */

static int open_stream(const char *name)
{
	if (!strcmp(name, "-"))
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static int open_file(struct dump *dump, struct shunt_err *err)
{
	const char *name = dump->opts->write;
	_fd_ int fd = open_stream(name);
	_file_ FILE *stream = NULL;

	if (fd < 0)
		return shunt_fail_errno(err, -errno, "open %s", name);
	stream = fdopen(fd, "wb");
	if (!stream)
		return shunt_fail_errno(err, -errno, "open %s", name);
	shunt_steal_fd(&fd);
	setvbuf(stream, NULL, _IOFBF, FILE_BUFFER_BYTES);
	dump->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, PCAP_SNAP_BYTES,
							  PCAP_TSTAMP_PRECISION_NANO);
	if (!dump->pcap)
		return shunt_fail_errno(err, -ENOMEM, "write %s", name);
	dump->file = pcap_dump_fopen(dump->pcap, stream);
	if (!dump->file)
		return shunt_fail(err, -EIO, "write %s: %s", name,
				  pcap_geterr(dump->pcap));
	shunt_steal(&stream);
	return 0;
}

static void close_file(struct dump *dump)
{
	if (dump->file)
		pcap_dump_close(dump->file);
	if (dump->pcap)
		pcap_close(dump->pcap);
}

int shunt_app_dump(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	static const struct shunt_consume_sink sink = { .burst = dump_burst,
							.tick = dump_tick,
							.idle = dump_idle };
	struct dump dump = { .opts = opts };
	int code = 0;

	if (opts->write)
		code = open_file(&dump, err);
	if (!code)
		code = shunt_consume(opts, &sink, &dump, err);
	close_file(&dump);
	return code;
}
