/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/pcapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "user/base/cleanup.h"

#define FILE_BYTES (256 * 1024)
#define PIPE_BYTES (64 * 1024)

#define NS_PER_S 1000000000
#define SECONDS_MAX INT64_C(18000000000) /* what 64 bits of nanoseconds hold */

struct shunt_pcapfile {
	char *path;
	pcap_t *pcap;
	uint64_t number;
	bool rewinds;
	int fd; /* the stream's */

	/* of a pipe: what has come and was not yet read */
	size_t at, end;
	uint8_t bytes[PIPE_BYTES];
};

/* --- streams ------------------------------------------------------------------------ */

static ssize_t pipe_read(void *self, char *to, size_t n)
{
	struct shunt_pcapfile *file = self;

	if (file->at == file->end) {
		ssize_t got = read(file->fd, file->bytes, sizeof(file->bytes));

		if (got <= 0)
			return got;
		file->at = 0;
		file->end = (size_t)got;
	}
	if (n > file->end - file->at)
		n = file->end - file->at;
	memcpy(to, file->bytes + file->at, n);
	file->at += n;
	return (ssize_t)n;
}

static int pipe_close(void *self)
{
	struct shunt_pcapfile *file = self;

	return close(file->fd);
}

/* stdio would keep what it has read to itself, and poll() would not know of it. */
static FILE *open_pipe(struct shunt_pcapfile *file)
{
	const cookie_io_functions_t functions = { .read = pipe_read,
						  .close = pipe_close };
	FILE *stream = fopencookie(file, "rb", functions);

	if (stream)
		setvbuf(stream, NULL, _IONBF, 0);
	return stream;
}

static FILE *open_regular(int fd)
{
	FILE *stream = fdopen(fd, "rb");

	if (stream)
		setvbuf(stream, NULL, _IOFBF, FILE_BYTES);
	return stream;
}

static int open_path(const char *path)
{
	if (!strcmp(path, "-"))
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static FILE *open_stream(struct shunt_pcapfile *file)
{
	_fd_ int fd = open_path(file->path);
	struct stat st;
	FILE *stream;

	if (fd < 0 || fstat(fd, &st))
		return NULL;
	file->rewinds = S_ISREG(st.st_mode) && strcmp(file->path, "-") != 0;
	file->at = file->end = 0;
	file->fd = fd;
	stream = file->rewinds ? open_regular(fd) : open_pipe(file);
	if (stream)
		shunt_steal_fd(&fd);
	return stream;
}

/* --- the file ------------------------------------------------------------------------ */

int shunt_pcapfile_rewind(struct shunt_pcapfile *file, struct shunt_err *err)
{
	_file_ FILE *stream = NULL;
	char why[PCAP_ERRBUF_SIZE];

	if (file->pcap)
		pcap_close(file->pcap);
	file->pcap = NULL;
	file->number = 0;
	stream = open_stream(file);
	if (!stream)
		return shunt_fail_errno(err, -errno, "%s", file->path);
	file->pcap = pcap_fopen_offline_with_tstamp_precision(
		stream, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!file->pcap)
		return shunt_fail(err, -EINVAL, "%s: %s", file->path, why);
	shunt_steal(&stream);
	if (pcap_datalink(file->pcap) != DLT_EN10MB)
		return shunt_fail(
			err, -EINVAL,
			"%s: its packets are of link type %s, and Shunt knows "
			"Ethernet frames only",
			file->path,
			pcap_datalink_val_to_name(pcap_datalink(file->pcap)));
	return 0;
}

int shunt_pcapfile_open(struct shunt_pcapfile **out, const char *path,
			struct shunt_err *err)
{
	struct shunt_pcapfile *file = calloc(1, sizeof(*file));
	int ret;

	*out = NULL;
	if (file)
		file->path = strdup(path);
	if (!file || !file->path) {
		free(file);
		return shunt_fail_errno(err, -ENOMEM, "%s", path);
	}
	ret = shunt_pcapfile_rewind(file, err);
	if (ret)
		shunt_pcapfile_close(file);
	else
		*out = file;
	return ret;
}

void shunt_pcapfile_close(struct shunt_pcapfile *file)
{
	if (!file)
		return;
	if (file->pcap)
		pcap_close(file->pcap);
	free(file->path);
	free(file);
}

/* Nothing that has been read waits, and nothing can be. */
static bool is_dry(const struct shunt_pcapfile *file)
{
	struct pollfd fd = { .fd = file->fd, .events = POLLIN };

	return !file->rewinds && file->at == file->end && poll(&fd, 1, 0) == 0;
}

/*
 * In nanoseconds since 1970. libpcap takes the unsigned seconds of a pcap file for signed
 * ones, and hands out whatever a damaged file says: that is kept within bounds.
 */
static uint64_t time_of(const struct pcap_pkthdr *head)
{
	int64_t seconds = head->ts.tv_sec;
	/* with this precision tv_usec holds nanoseconds (pcap-savefile(5)) */
	int64_t ns = head->ts.tv_usec;

	if (seconds < 0 && seconds >= INT32_MIN)
		seconds = (uint32_t)seconds;
	if (seconds < 0)
		seconds = 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	if (ns < 0 || ns >= NS_PER_S)
		ns = NS_PER_S - 1;
	return (uint64_t)seconds * NS_PER_S + (uint64_t)ns;
}

int shunt_pcapfile_next(struct shunt_pcapfile *file,
			struct shunt_pcapfile_packet *packet, struct shunt_err *err)
{
	struct pcap_pkthdr *head;
	int ret;

	if (is_dry(file))
		return -EAGAIN;
	ret = pcap_next_ex(file->pcap, &head, &packet->bytes);
	if (ret == PCAP_ERROR_BREAK)
		return 0;
	if (ret != 1)
		return shunt_fail(err, -EINVAL, "%s, behind packet %llu: %s",
				  file->path, (unsigned long long)file->number,
				  pcap_geterr(file->pcap));
	packet->number = ++file->number;
	packet->time_ns = time_of(head);
	packet->captured = head->caplen;
	packet->len = head->len;
	return 1;
}

bool shunt_pcapfile_rewinds(const struct shunt_pcapfile *file)
{
	return file->rewinds;
}

int shunt_pcapfile_fd(const struct shunt_pcapfile *file)
{
	return file->fd;
}
