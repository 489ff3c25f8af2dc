/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/record_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"

struct shunt_record_file {
	struct shunt_record_file_opts opts;
	struct shunt_pcapng *out;
	enum shunt_pcapng_format format;
	uint64_t number;	       /* of the file that is written, from 1 on */
	uint64_t begun_ns;	       /* when it was begun, by the monotonic clock */
	uint64_t begun_at_ns;	       /* and since 1970 */
	struct shunt_record_seen past; /* what had been seen then */
	char name[PATH_MAX];
};

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_spread(const struct shunt_record_file *file)
{
	return file->opts.most_bytes || file->opts.most_ns;
}

/* dir/cap.pcapng ─▶ dir/cap-000001.pcapng */
static void name_file(const struct shunt_record_file *file, uint64_t number,
		      char name[PATH_MAX])
{
	const char *path = file->opts.path, *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');
	int stem = dot && dot != path ? (int)(dot - path) : (int)strlen(path);

	if (is_spread(file))
		snprintf(name, PATH_MAX, "%.*s-%06" PRIu64 "%s", stem, path, number,
			 path + stem);
	else
		snprintf(name, PATH_MAX, "%s", path);
}

/* --- one file ------------------------------------------------------------------------ */

static int begin(struct shunt_record_file *file, const struct shunt_record_seen *seen,
		 struct shunt_err *err)
{
	const struct shunt_pcapng_opts opts = { .sz = sizeof(opts),
						.format = file->format };
	int code;

	name_file(file, ++file->number, file->name);
	code = shunt_pcapng_open(&file->out, file->name, &opts, err);
	if (code)
		return code;
	file->begun_ns = shunt_now_ns();
	file->begun_at_ns = wall_ns();
	file->past = *seen;
	if (file->format == SHUNT_PCAPNG_OLD)
		return 0;
	code = shunt_pcapng_interface(file->out, file->opts.source, file->opts.about,
				      err);
	return code < 0 ? code : 0;
}

static int end(struct shunt_record_file *file, const struct shunt_record_seen *seen,
	       struct shunt_err *err)
{
	const struct shunt_record_seen *past = &file->past;
	const struct shunt_pcapng_stats stats = {
		.time_ns = wall_ns(),
		.start_ns = file->begun_at_ns,
		.received = seen->received - past->received + seen->lost - past->lost,
		.accepted = seen->accepted - past->accepted,
		.dropped = seen->lost - past->lost,
		.delivered = seen->received - past->received,
	};
	int code, later;

	if (!file->out)
		return 0;
	code = shunt_pcapng_stats(file->out, 0, &stats, err);
	later = shunt_pcapng_close(file->out, code ? NULL : err);
	file->out = NULL;
	return code ? code : later;
}

/* --- from file to file --------------------------------------------------------------- */

static bool is_time(const struct shunt_record_file *file)
{
	if (file->opts.most_bytes &&
	    shunt_pcapng_bytes(file->out) >= file->opts.most_bytes)
		return true;
	return file->opts.most_ns &&
	       shunt_now_ns() - file->begun_ns >= file->opts.most_ns;
}

static int next(struct shunt_record_file *file, const struct shunt_record_seen *seen,
		struct shunt_err *err)
{
	char oldest[PATH_MAX];
	int code = end(file, seen, err);

	if (code)
		return code;
	code = begin(file, seen, err);
	if (code || !file->opts.keep || file->number <= file->opts.keep)
		return code;
	name_file(file, file->number - file->opts.keep, oldest);
	if (unlink(oldest) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "remove %s, the oldest capture",
					oldest);
	return 0;
}

int shunt_record_file_put(struct shunt_record_file *file,
			  const struct shunt_pcapng_packet *packet,
			  const struct shunt_record_seen *seen, struct shunt_err *err)
{
	int code = is_spread(file) && is_time(file) ? next(file, seen, err) : 0;

	return code ? code : shunt_pcapng_put(file->out, packet, err);
}

int shunt_record_file_tick(struct shunt_record_file *file,
			   const struct shunt_record_seen *seen, struct shunt_err *err)
{
	if (is_spread(file) && is_time(file))
		return next(file, seen, err);
	return shunt_pcapng_flush(file->out, err);
}

const char *shunt_record_file_name(const struct shunt_record_file *file)
{
	return file->name;
}

uint64_t shunt_record_file_count(const struct shunt_record_file *file)
{
	return file->number;
}

/* --- all of it ----------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), part = strlen(end);

	return len >= part && !strcmp(text + len - part, end);
}

int shunt_record_file_open(struct shunt_record_file **out,
			   const struct shunt_record_file_opts *opts,
			   struct shunt_err *err)
{
	static const struct shunt_record_seen nothing;
	struct shunt_record_file *file;
	int code;

	*out = NULL;
	if (strlen(opts->path) > PATH_MAX - 32)
		return shunt_fail(err, -ENAMETOOLONG,
				  "write a capture: %zu bytes are "
				  "too long a name",
				  strlen(opts->path));
	file = calloc(1, sizeof(*file));
	if (!file)
		return shunt_fail_errno(err, -ENOMEM, "write %s", opts->path);
	file->opts = *opts;
	file->format =
		ends_in(opts->path, ".pcap") ? SHUNT_PCAPNG_OLD : SHUNT_PCAPNG_NG;
	if (is_spread(file) && !strcmp(opts->path, "-"))
		code = shunt_fail(err, -EINVAL,
				  "standard output cannot be spread over files: name "
				  "one by --write");
	else
		code = begin(file, &nothing, err);
	if (code) {
		(void)!shunt_pcapng_close(file->out, NULL);
		free(file);
		return code;
	}
	*out = file;
	return 0;
}

int shunt_record_file_close(struct shunt_record_file *file,
			    const struct shunt_record_seen *seen, struct shunt_err *err)
{
	int code = file ? end(file, seen, err) : 0;

	free(file);
	return code;
}
