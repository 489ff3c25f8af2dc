/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "user/base/cleanup.h"

#define FILE_BUFFER_BYTES (256 * 1024)
#define PCAP_SNAP_BYTES 262144 /* libpcap's own maximum: nothing is cut */

struct shunt_capture {
	pcap_t *pcap;
	pcap_dumper_t *file;
};

static int open_stream(const char *name)
{
	if (!strcmp(name, "-"))
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static int open_file(struct shunt_capture *capture, const char *name,
		     struct shunt_err *err)
{
	_fd_ int fd = open_stream(name);
	_file_ FILE *stream = NULL;

	if (fd < 0)
		return shunt_fail_errno(err, -errno, "open %s", name);
	stream = fdopen(fd, "wb");
	if (!stream)
		return shunt_fail_errno(err, -errno, "open %s", name);
	shunt_steal_fd(&fd);
	setvbuf(stream, NULL, _IOFBF, FILE_BUFFER_BYTES);
	capture->pcap =
		pcap_open_dead_with_tstamp_precision(DLT_EN10MB, PCAP_SNAP_BYTES,
						     PCAP_TSTAMP_PRECISION_NANO);
	if (!capture->pcap)
		return shunt_fail_errno(err, -ENOMEM, "write %s", name);
	capture->file = pcap_dump_fopen(capture->pcap, stream);
	if (!capture->file)
		return shunt_fail(err, -EIO, "write %s: %s", name,
				  pcap_geterr(capture->pcap));
	shunt_steal(&stream);
	return 0;
}

int shunt_capture_open(struct shunt_capture **capture, const char *name,
		       struct shunt_err *err)
{
	int code;

	*capture = calloc(1, sizeof(**capture));
	if (!*capture)
		return shunt_fail(err, -ENOMEM, "write %s: out of memory", name);
	code = open_file(*capture, name, err);
	if (code) {
		shunt_capture_close(*capture);
		*capture = NULL;
	}
	return code;
}

void shunt_capture_close(struct shunt_capture *capture)
{
	if (!capture)
		return;
	if (capture->file)
		pcap_dump_close(capture->file);
	if (capture->pcap)
		pcap_close(capture->pcap);
	free(capture);
}

void shunt_capture_put(struct shunt_capture *capture, const struct timespec *when,
		       const uint8_t *bytes, uint32_t captured, uint32_t len)
{
	/* With nanosecond precision tv_usec holds nanoseconds (pcap-savefile(5)). */
	const struct pcap_pkthdr header = {
		.ts = { .tv_sec = when->tv_sec, .tv_usec = when->tv_nsec },
		.caplen = captured,
		.len = len,
	};

	pcap_dump((u_char *)capture->file, &header, bytes);
}

FILE *shunt_capture_stream(const struct shunt_capture *capture)
{
	return pcap_dump_file(capture->file);
}
