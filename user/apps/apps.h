/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands of `shunt run` that consume what a policy redirects. */
#pragma once

/*
 * The caller has found the consumer's slot and queues and opened the XSKMAP. An app
 * runs until a limit, ^C or an error, writes results to opts->out, and remarks to
 * stderr; it returns 0 or -errno, with the sentence in err.
 */
#include "user/apps/consume.h"

/*
 * Counts packets and bytes: a line an interval, a summary at the end. As JSON, each is
 * an object of schema shunt.run.count/1; numbers count from the start.
 */
SHUNT_MUST_CHECK int shunt_app_count(const struct shunt_consume_opts *opts,
				     struct shunt_err *err);

/*
 * Shows each packet as a line, or as an object of schema shunt.run.dump/1, or writes it
 * to the pcap file opts->write (nanosecond stamps). The stamp is the moment at which
 * the packet was taken from the ring. Reports the totals to stderr at the end.
 */
SHUNT_MUST_CHECK int shunt_app_dump(const struct shunt_consume_opts *opts,
				    struct shunt_err *err);

/*
 * Shows what rules sample and mirror into the ring: a line each, an object of schema
 * shunt.run.sample/1, or a packet of the pcap file opts->write. opts->tap is that of the
 * copies. The stamp is the moment at which the program saw the packet. Reports the
 * totals, and how many copies were lost, to stderr at the end.
 */
SHUNT_MUST_CHECK int shunt_app_sample(const struct shunt_consume_opts *opts,
				      struct shunt_err *err);

/*
 * Writes what a consumer gets, or samples and mirrored packets, to opts->record's capture
 * file, with what the program says of each. Live counts and totals go to stderr, or as
 * objects of schema shunt.run.capture/1 to opts->out.
 */
SHUNT_MUST_CHECK int shunt_app_record(const struct shunt_consume_opts *opts,
				      struct shunt_err *err);
