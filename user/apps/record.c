/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "loader/state.h"
#include "maps/reason.h"
#include "maps/verdict.h"
#include "user/apps/record_judge.h"
#include "user/io/port.h"

#define ANY UINT32_MAX

struct shunt_recorder {
	struct shunt_record_opts opts;
	struct shunt_record_file *file;
	struct bpf_program program; /* libpcap's; empty without an expression */
	bool filters;
	uint32_t verdict, reason; /* ANY, or the number */
	struct shunt_record_seen seen;
	uint64_t bytes;
	uint8_t *joined; /* a packet of several frames; NULL: there was none */
	uint64_t told;	 /* how many of the lost ones stand at a packet */
};

/* --- what is wanted ------------------------------------------------------------------ */

static int compile(struct shunt_recorder *r, struct shunt_err *err)
{
	pcap_t *dead;
	int code = 0;

	if (!r->opts.filter)
		return 0;
	dead = pcap_open_dead(DLT_EN10MB, SHUNT_PCAPNG_SNAP);
	if (!dead)
		return shunt_fail_errno(err, -ENOMEM, "compile --filter");
	if (pcap_compile(dead, &r->program, r->opts.filter, 1, PCAP_NETMASK_UNKNOWN))
		code = shunt_fail(err, -EINVAL, "--filter \"%s\": %s", r->opts.filter,
				  pcap_geterr(dead));
	else
		r->filters = true;
	pcap_close(dead);
	return code;
}

static int find_verdict(struct shunt_recorder *r, struct shunt_err *err)
{
	static const char *const names[] = {
#define X(id, value, name, help) name,
		SHUNT_VERDICTS(X)
#undef X
	};
	char list[256] = "";
	uint32_t i;

	r->verdict = ANY;
	if (!r->opts.verdict)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(names[i], r->opts.verdict)) {
			r->verdict = i;
			return 0;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 i ? ", " : "", names[i]);
	}
	return shunt_fail(err, -EINVAL, "--verdict \"%s\" is none; there are %s",
			  r->opts.verdict, list);
}

static int find_reason(struct shunt_recorder *r, struct shunt_err *err)
{
	uint32_t i;

	r->reason = ANY;
	for (i = 0; r->opts.reason && i < SHUNT_REASON_MAX; i++)
		if (!strcmp(shunt_reason_name(i), r->opts.reason))
			r->reason = i;
	if (!r->opts.reason ||
	    (r->reason != ANY && strcmp(r->opts.reason, "unknown") != 0))
		return 0;
	return shunt_fail(err, -EINVAL,
			  "--reason \"%s\" is none; `shunt stats` shows them, such as "
			  "rule, default, limited or consumer-down",
			  r->opts.reason);
}

/* Cheap questions first; a cut packet is asked for what is there of it. */
static bool is_wanted(const struct shunt_recorder *r,
		      const struct shunt_record_packet *packet)
{
	const struct shunt_ring_event *event = packet->event;
	struct pcap_pkthdr head = { .caplen = packet->captured, .len = packet->len };

	if (r->verdict != ANY && (!event || event->verdict != r->verdict))
		return false;
	if (r->reason != ANY && (!event || event->reason != r->reason))
		return false;
	if (r->opts.rule && (!packet->rule || strcmp(packet->rule, r->opts.rule) != 0))
		return false;
	return !r->filters || pcap_offline_filter(&r->program, &head, packet->bytes);
}

/* --- recording ----------------------------------------------------------------------- */

int shunt_record_put(struct shunt_recorder *r, const struct shunt_record_packet *packet,
		     struct shunt_err *err)
{
	uint32_t captured = packet->captured;
	char text[SHUNT_PCAPNG_COMMENT];
	struct shunt_pcapng_packet to = {
		.time_ns = packet->time_ns,
		.bytes = packet->bytes,
		.len = packet->len,
		.lost = r->seen.lost - r->told,
	};
	int code;

	r->seen.received++;
	if (!is_wanted(r, packet))
		return 0;
	to.captured = r->opts.snap && r->opts.snap < captured ? r->opts.snap : captured;
	shunt_record_judge(packet, &to, text);
	code = shunt_record_file_put(r->file, &to, &r->seen, err);
	if (code)
		return code;
	r->told = r->seen.lost;
	r->seen.accepted++;
	r->bytes += to.captured;
	return 1;
}

int shunt_record_frames(struct shunt_recorder *r, struct shunt_record_packet *packet,
			const struct shunt_frame *frames, unsigned int n,
			struct shunt_err *err)
{
	uint32_t bytes = 0;
	unsigned int i;

	packet->bytes = frames->data;
	packet->captured = frames->len;
	if (n == 1)
		return shunt_record_put(r, packet, err);
	for (i = 0; i < n; i++)
		bytes += frames[i].len;
	if (bytes > SHUNT_PCAPNG_SNAP)
		return shunt_fail(
			err, -EMSGSIZE,
			"record a packet of %u bytes: a capture file takes %u", bytes,
			SHUNT_PCAPNG_SNAP);
	if (!r->joined)
		r->joined = malloc(SHUNT_PCAPNG_SNAP);
	if (!r->joined)
		return shunt_fail_errno(err, -ENOMEM, "record a packet");
	packet->bytes = r->joined;
	packet->captured = shunt_packet_copy(r->joined, frames, n);
	return shunt_record_put(r, packet, err);
}

void shunt_record_lost(struct shunt_recorder *r, uint64_t lost)
{
	r->seen.lost = lost;
}

bool shunt_record_is_full(const struct shunt_recorder *r)
{
	return r->opts.packets && r->seen.accepted >= r->opts.packets;
}

int shunt_record_tick(struct shunt_recorder *r, struct shunt_err *err)
{
	return shunt_record_file_tick(r->file, &r->seen, err);
}

void shunt_record_totals(const struct shunt_recorder *r,
			 struct shunt_record_totals *totals)
{
	*totals = (struct shunt_record_totals){
		.seen = r->seen,
		.bytes = r->bytes,
		.files = shunt_record_file_count(r->file),
		.name = shunt_record_file_name(r->file),
	};
}

int shunt_record_open(struct shunt_recorder **recorder,
		      const struct shunt_record_opts *opts, struct shunt_err *err)
{
	struct shunt_recorder *r = calloc(1, sizeof(*r));
	int code;

	*recorder = NULL;
	if (!r)
		return shunt_fail_errno(err, -ENOMEM, "record packets");
	r->opts = *opts;
	code = find_verdict(r, err);
	if (!code)
		code = find_reason(r, err);
	if (!code)
		code = compile(r, err);
	if (!code)
		code = shunt_record_file_open(&r->file, &opts->file, err);
	if (code) {
		(void)!shunt_record_close(r, NULL);
		return code;
	}
	*recorder = r;
	return 0;
}

int shunt_record_close(struct shunt_recorder *r, struct shunt_err *err)
{
	int code;

	if (!r)
		return 0;
	code = shunt_record_file_close(r->file, &r->seen, err);
	if (r->filters)
		pcap_freecode(&r->program);
	free(r->joined);
	free(r);
	return code;
}
