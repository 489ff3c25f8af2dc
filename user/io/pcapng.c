/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/pcapng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/cleanup.h"

/* Room for the longest block, and for some hundred ordinary ones between writes. */
#define BUFFER_BYTES (1u << 20)

#define PATH_SHOWN 256
#define LINK_ETHERNET 1u

/* Block types, option codes, and a marker of the byte order. */
#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define ORDER_MAGIC 0x1a2b3c4du
#define OLD_MAGIC 0xa1b23c4du /* times in nanoseconds */
#define OPT_END 0u
#define OPT_COMMENT 1u
#define SHB_USERAPPL 4u
#define IF_NAME 2u
#define IF_DESCRIPTION 3u
#define IF_TSRESOL 9u
#define EPB_FLAGS 2u
#define EPB_DROPCOUNT 4u
#define EPB_QUEUE 6u
#define EPB_VERDICT 7u
#define ISB_STARTTIME 2u
#define ISB_IFRECV 4u
#define ISB_FILTERACCEPT 6u
#define ISB_OSDROP 7u
#define ISB_USRDELIV 8u
#define TSRESOL_NS 9u

struct shunt_pcapng {
	int fd;
	enum shunt_pcapng_format format;
	bool regular;	     /* what was written can be cut off again */
	int broken;	     /* -errno of the first failure */
	uint64_t written;    /* bytes that the file has */
	uint32_t interfaces; /* so many are described */
	char path[PATH_SHOWN];
	size_t used;  /* of the buffer: blocks that are whole, */
	size_t block; /* and where the one that is being made begins */
	uint8_t buffer[BUFFER_BYTES];
};

/* --- writing ------------------------------------------------------------------------ */

/* The end of the last whole block that begins before `bytes`. */
static size_t whole_blocks(const struct shunt_pcapng *file, size_t bytes)
{
	bool old = file->format == SHUNT_PCAPNG_OLD;
	size_t at = 0;
	uint32_t len;

	if (old && !file->written)
		at = 24; /* the header of the file */
	while (at + 16 <= bytes) {
		memcpy(&len, file->buffer + at + (old ? 8 : 4), sizeof(len));
		len += old ? 16 : 0;
		if (len > bytes - at)
			break;
		at += len;
	}
	return at < bytes ? at : bytes;
}

static int fail_write(struct shunt_pcapng *file, int code, struct shunt_err *err)
{
	file->broken = code;
	return shunt_fail_errno(err, code, "write to %s", file->path);
}

/* Some bytes were written, then no more: the file is made to end with a whole packet. */
static void cut(struct shunt_pcapng *file, size_t done)
{
	uint64_t end = file->written + whole_blocks(file, done);

	if (file->regular && !ftruncate(file->fd, (off_t)end) &&
	    lseek(file->fd, (off_t)end, SEEK_SET) >= 0)
		file->written = end;
	file->used = file->block = 0;
}

static int empty_buffer(struct shunt_pcapng *file, struct shunt_err *err)
{
	size_t done = 0;

	while (done < file->used) {
		ssize_t n = write(file->fd, file->buffer + done, file->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int code = n ? -errno : -ENOSPC;

			cut(file, done);
			return fail_write(file, code, err);
		}
		done += (size_t)n;
	}
	file->written += done;
	file->used = 0;
	return 0;
}

/* Room for a block of so many bytes; what is added from here on belongs to it. */
static int begin(struct shunt_pcapng *file, size_t bytes, struct shunt_err *err)
{
	int ret = 0;

	if (file->broken)
		return shunt_fail_errno(err, file->broken, "write to %s, as before",
					file->path);
	if (file->used + bytes > BUFFER_BYTES)
		ret = empty_buffer(file, err);
	file->block = file->used;
	return ret;
}

static void add(struct shunt_pcapng *file, const void *bytes, size_t n)
{
	memcpy(file->buffer + file->used, bytes, n);
	file->used += n;
}

static void add_u32(struct shunt_pcapng *file, uint32_t value)
{
	add(file, &value, sizeof(value));
}

/* --- blocks ------------------------------------------------------------------------- */

static void pad(struct shunt_pcapng *file)
{
	static const uint8_t zeros[4];

	add(file, zeros, -(file->used - file->block) & 3);
}

static void add_option(struct shunt_pcapng *file, uint16_t code, const void *value,
		       size_t bytes)
{
	const uint16_t head[2] = { code, (uint16_t)bytes };

	add(file, head, sizeof(head));
	add(file, value, bytes);
	pad(file);
}

static void add_text(struct shunt_pcapng *file, uint16_t code, const char *text)
{
	if (text && *text)
		add_option(file, code, text, strnlen(text, SHUNT_PCAPNG_COMMENT));
}

static void add_count(struct shunt_pcapng *file, uint16_t code, uint64_t value)
{
	add_option(file, code, &value, sizeof(value));
}

static void begin_block(struct shunt_pcapng *file, uint32_t type)
{
	add_u32(file, type);
	add_u32(file, 0); /* its length, known in the end */
}

/* Its length stands at both ends; options, where it has any, are closed by one more. */
static void end_block(struct shunt_pcapng *file, bool options)
{
	uint32_t len;

	if (options)
		add_u32(file, OPT_END);
	len = (uint32_t)(file->used - file->block) + 4;
	memcpy(file->buffer + file->block + 4, &len, sizeof(len));
	add_u32(file, len);
}

static void add_stamp(struct shunt_pcapng *file, uint64_t time_ns)
{
	add_u32(file, (uint32_t)(time_ns >> 32));
	add_u32(file, (uint32_t)time_ns);
}

static int begin_section(struct shunt_pcapng *file, const char *comment,
			 struct shunt_err *err)
{
	const uint16_t version[2] = { 1, 0 };
	const uint64_t unknown = UINT64_MAX; /* the section's length */
	int ret = begin(file, SHUNT_PCAPNG_COMMENT + 128, err);

	if (ret)
		return ret;
	begin_block(file, BLOCK_SECTION);
	add_u32(file, ORDER_MAGIC);
	add(file, version, sizeof(version));
	add(file, &unknown, sizeof(unknown));
	add_text(file, OPT_COMMENT, comment);
	add_text(file, SHB_USERAPPL, "Shunt " SHUNT_VERSION);
	end_block(file, true);
	return 0;
}

static int begin_old(struct shunt_pcapng *file, struct shunt_err *err)
{
	const uint16_t version[2] = { 2, 4 };
	int ret = begin(file, 24, err);

	if (ret)
		return ret;
	add_u32(file, OLD_MAGIC);
	add(file, version, sizeof(version));
	add_u32(file, 0);
	add_u32(file, 0);
	add_u32(file, SHUNT_PCAPNG_SNAP);
	add_u32(file, LINK_ETHERNET);
	file->interfaces = 1;
	return 0;
}

int shunt_pcapng_interface(struct shunt_pcapng *file, const char *name,
			   const char *description, struct shunt_err *err)
{
	const uint8_t resolution = TSRESOL_NS;
	int ret;

	if (file->format == SHUNT_PCAPNG_OLD)
		return shunt_fail(err, -EINVAL,
				  "%s: a pcap file has no names of interfaces; pcapng "
				  "has them",
				  file->path);
	ret = begin(file, 2 * SHUNT_PCAPNG_COMMENT + 128, err);
	if (ret)
		return ret;
	begin_block(file, BLOCK_INTERFACE);
	add_u32(file, LINK_ETHERNET);
	add_u32(file, SHUNT_PCAPNG_SNAP);
	add_text(file, IF_NAME, name);
	add_text(file, IF_DESCRIPTION, description);
	add_option(file, IF_TSRESOL, &resolution, sizeof(resolution));
	end_block(file, true);
	return (int)file->interfaces++;
}

/* --- packets ------------------------------------------------------------------------ */

static void put_old(struct shunt_pcapng *file, const struct shunt_pcapng_packet *packet)
{
	add_u32(file, (uint32_t)(packet->time_ns / 1000000000u));
	add_u32(file, (uint32_t)(packet->time_ns % 1000000000u));
	add_u32(file, packet->captured);
	add_u32(file, packet->len);
	add(file, packet->bytes, packet->captured);
}

/* True if there are any. */
static bool add_packet_options(struct shunt_pcapng *file,
			       const struct shunt_pcapng_packet *packet)
{
	const uint32_t way = packet->way; /* the lowest two bits: 1 in, 2 out */
	uint8_t verdict[9] = { packet->judge };
	size_t before = file->used;

	add_text(file, OPT_COMMENT, packet->comment);
	if (way)
		add_option(file, EPB_FLAGS, &way, sizeof(way));
	if (packet->lost)
		add_count(file, EPB_DROPCOUNT, packet->lost);
	if (packet->queue_known)
		add_option(file, EPB_QUEUE, &packet->queue, sizeof(packet->queue));
	if (packet->judge) {
		memcpy(verdict + 1, &packet->verdict, sizeof(packet->verdict));
		add_option(file, EPB_VERDICT, verdict, sizeof(verdict));
	}
	return file->used != before;
}

static void put_ng(struct shunt_pcapng *file, const struct shunt_pcapng_packet *packet)
{
	begin_block(file, BLOCK_PACKET);
	add_u32(file, packet->interface);
	add_stamp(file, packet->time_ns);
	add_u32(file, packet->captured);
	add_u32(file, packet->len);
	add(file, packet->bytes, packet->captured);
	pad(file);
	end_block(file, add_packet_options(file, packet));
}

int shunt_pcapng_put(struct shunt_pcapng *file,
		     const struct shunt_pcapng_packet *packet, struct shunt_err *err)
{
	int ret;

	if (packet->captured > SHUNT_PCAPNG_SNAP)
		return shunt_fail(err, -EMSGSIZE,
				  "write to %s: a packet of %u bytes is longer than %u",
				  file->path, packet->captured, SHUNT_PCAPNG_SNAP);
	if (!file->interfaces) {
		ret = shunt_pcapng_interface(file, NULL, NULL, err);
		if (ret < 0)
			return ret;
	}
	if (packet->interface >= file->interfaces)
		return shunt_fail(err, -EINVAL,
				  "write to %s: there is no interface %u, but %u",
				  file->path, packet->interface, file->interfaces);
	ret = begin(file, packet->captured + SHUNT_PCAPNG_COMMENT + 128, err);
	if (ret)
		return ret;
	if (file->format == SHUNT_PCAPNG_OLD)
		put_old(file, packet);
	else
		put_ng(file, packet);
	return 0;
}

int shunt_pcapng_stats(struct shunt_pcapng *file, uint32_t interface,
		       const struct shunt_pcapng_stats *stats, struct shunt_err *err)
{
	const uint32_t start[2] = { (uint32_t)(stats->start_ns >> 32),
				    (uint32_t)stats->start_ns };
	int ret;

	if (file->format == SHUNT_PCAPNG_OLD)
		return 0;
	if (interface >= file->interfaces)
		return shunt_fail(err, -EINVAL,
				  "write to %s: there is no interface %u, but %u",
				  file->path, interface, file->interfaces);
	ret = begin(file, 256, err);
	if (ret)
		return ret;
	begin_block(file, BLOCK_STATISTICS);
	add_u32(file, interface);
	add_stamp(file, stats->time_ns);
	if (stats->start_ns)
		add_option(file, ISB_STARTTIME, start, sizeof(start));
	add_count(file, ISB_IFRECV, stats->received);
	add_count(file, ISB_FILTERACCEPT, stats->accepted);
	add_count(file, ISB_OSDROP, stats->dropped);
	add_count(file, ISB_USRDELIV, stats->delivered);
	end_block(file, true);
	return 0;
}

/* --- opening and closing ------------------------------------------------------------- */

enum shunt_pcapng_format shunt_pcapng_format_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strcmp(dot, ".pcapng") ? SHUNT_PCAPNG_NG : SHUNT_PCAPNG_OLD;
}

static int open_path(const char *path)
{
	if (!strcmp(path, "-"))
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

/* Where standard output goes on behind what others wrote, nothing is cut off. */
static bool is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && !st.st_size;
}

int shunt_pcapng_open(struct shunt_pcapng **out, const char *path,
		      const struct shunt_pcapng_opts *opts, struct shunt_err *err)
{
	struct shunt_pcapng_opts given = { 0 };
	_free_ struct shunt_pcapng *file = calloc(1, sizeof(*file));
	_fd_ int fd = -1;
	int ret;

	*out = NULL;
	if (!file)
		return shunt_fail_errno(err, -ENOMEM, "write to %s", path);
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	fd = open_path(path);
	if (fd < 0)
		return shunt_fail_errno(err, -errno, "open %s for writing", path);
	file->fd = fd;
	file->format = given.format;
	snprintf(file->path, sizeof(file->path), "%s",
		 strcmp(path, "-") ? path : "standard output");
	file->regular = is_ours(fd);
	ret = file->format == SHUNT_PCAPNG_OLD
		      ? begin_old(file, err)
		      : begin_section(file, given.comment, err);
	if (ret)
		return ret;
	shunt_steal_fd(&fd);
	*out = shunt_steal(&file);
	return 0;
}

int shunt_pcapng_flush(struct shunt_pcapng *file, struct shunt_err *err)
{
	int ret = begin(file, 0, err);

	return ret ? ret : empty_buffer(file, err);
}

uint64_t shunt_pcapng_bytes(const struct shunt_pcapng *file)
{
	return file->written + file->used;
}

int shunt_pcapng_close(struct shunt_pcapng *file, struct shunt_err *err)
{
	int ret;

	if (!file)
		return 0;
	/* readers want an interface even where there are no packets */
	ret = file->interfaces ? 0 : shunt_pcapng_interface(file, NULL, NULL, err);
	if (ret >= 0)
		ret = shunt_pcapng_flush(file, err);
	if (close(file->fd) && !ret)
		ret = fail_write(file, -errno, err);
	free(file);
	return ret;
}
