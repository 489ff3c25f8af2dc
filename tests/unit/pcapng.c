/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files: what was written is read back, also where the disk was full. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "user/io/pcapfile.h"
#include "user/io/pcapng.h"

#define PACKETS 300
#define LONGEST 9014
#define START_NS UINT64_C(1700000000123456789)

static char path[] = "/tmp/shunt-pcapng-XXXXXX";

/* A packet of its own, by its number: length, bytes, and time. */
static uint32_t length(unsigned int i)
{
	return i % 7 == 6 ? LONGEST - i : 14 + i * 5;
}

static void fill(uint8_t *bytes, unsigned int i)
{
	for (uint32_t at = 0; at < length(i); at++)
		bytes[at] = (uint8_t)(i * 31 + at * 7);
}

static uint64_t time_of(unsigned int i)
{
	return START_NS + i * UINT64_C(1000000007);
}

static int put(struct shunt_pcapng *file, unsigned int i, uint32_t interface,
	       const char *comment, struct shunt_err *err)
{
	static uint8_t bytes[LONGEST];
	struct shunt_pcapng_packet packet = { .time_ns = time_of(i),
					      .bytes = bytes,
					      .captured = length(i),
					      .len = length(i) + i % 3,
					      .interface = interface,
					      .comment = comment };

	fill(bytes, i);
	return shunt_pcapng_put(file, &packet, err);
}

/* Reads the file: every packet is as it was put. Returns how many there are. */
static unsigned int read_back(void)
{
	static uint8_t want[LONGEST];
	struct shunt_pcapfile_packet packet;
	struct shunt_pcapfile *file;
	struct shunt_err err = { "" };
	unsigned int n = 0;
	int ret;

	assert_int_equal(shunt_pcapfile_open(&file, path, &err), 0);
	while ((ret = shunt_pcapfile_next(file, &packet, &err)) == 1) {
		assert_int_equal(packet.captured, length(n));
		assert_int_equal(packet.len, length(n) + n % 3);
		assert_true(packet.time_ns == time_of(n));
		fill(want, n);
		assert_memory_equal(packet.bytes, want, packet.captured);
		assert_int_equal(packet.number, ++n);
	}
	assert_string_equal(err.message, "");
	assert_int_equal(ret, 0);
	shunt_pcapfile_close(file);
	return n;
}

static void write_all(enum shunt_pcapng_format format)
{
	const struct shunt_pcapng_opts opts = { .sz = sizeof(opts),
						.format = format,
						.comment = "what it is" };
	struct shunt_pcapng *file;

	assert_int_equal(shunt_pcapng_open(&file, path, &opts, NULL), 0);
	for (unsigned int i = 0; i < PACKETS; i++)
		assert_int_equal(put(file, i, 0, i % 2 ? "odd" : NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_close(file, NULL), 0);
	assert_int_equal(read_back(), PACKETS);
}

static void pcap_is_read_back(void **ctx)
{
	(void)ctx;
	write_all(SHUNT_PCAPNG_OLD);
}

static void pcapng_is_read_back(void **ctx)
{
	(void)ctx;
	write_all(SHUNT_PCAPNG_NG);
}

/* At any limit the file holds whole packets only, and as many as fit. */
static void a_full_disk_leaves_whole_packets(void **ctx)
{
	enum shunt_pcapng_format format;
	struct rlimit old, limit;

	(void)ctx;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (format = SHUNT_PCAPNG_NG; format <= SHUNT_PCAPNG_OLD; format++) {
		const struct shunt_pcapng_opts opts = { .sz = sizeof(opts),
							.format = format };
		unsigned int last = 0;

		for (rlim_t most = 300; most < 200000; most = most * 5 / 4 + 3) {
			struct shunt_err err = { "" };
			struct shunt_pcapng *file;
			unsigned int n;
			int ret = 0;

			limit = old;
			limit.rlim_cur = most;
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
			ret = shunt_pcapng_open(&file, path, &opts, NULL);
			for (n = 0; n < PACKETS && !ret; n++)
				ret = put(file, n, 0, "why", &err);
			ret = shunt_pcapng_flush(file, &err);
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
			assert_int_equal(ret, -EFBIG);
			assert_non_null(strstr(err.message, path));
			assert_int_equal(put(file, 0, 0, NULL, NULL), -EFBIG);
			assert_int_equal(shunt_pcapng_close(file, NULL), -EFBIG);
			n = read_back();
			assert_in_range(n, last, PACKETS - 1);
			last = n;
		}
		assert_in_range(last, 10, PACKETS - 1);
	}
}

static void interfaces_are_numbered(void **ctx)
{
	const struct shunt_pcapng_packet lost = { .bytes = (const uint8_t *)"",
						  .interface = 2 };
	struct shunt_pcapng_stats stats = { .time_ns = START_NS, .received = 7 };
	struct shunt_pcapng *file;

	(void)ctx;
	assert_int_equal(shunt_pcapng_open(&file, path, NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_interface(file, "eth1", NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_interface(file, "eth2", "the other", NULL), 1);
	assert_int_equal(put(file, 0, 1, NULL, NULL), 0);
	assert_int_equal(put(file, 1, 0, NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_put(file, &lost, NULL), -EINVAL);
	assert_int_equal(shunt_pcapng_stats(file, 1, &stats, NULL), 0);
	assert_int_equal(shunt_pcapng_stats(file, 2, &stats, NULL), -EINVAL);
	assert_int_equal(shunt_pcapng_close(file, NULL), 0);
	assert_int_equal(read_back(), 2);
}

static void nothing_is_a_capture_too(void **ctx)
{
	enum shunt_pcapng_format format;

	(void)ctx;
	for (format = SHUNT_PCAPNG_NG; format <= SHUNT_PCAPNG_OLD; format++) {
		const struct shunt_pcapng_opts opts = { .sz = sizeof(opts),
							.format = format };
		struct shunt_pcapng *file;

		assert_int_equal(shunt_pcapng_open(&file, path, &opts, NULL), 0);
		assert_int_equal(shunt_pcapng_close(file, NULL), 0);
		assert_int_equal(read_back(), 0);
	}
}

static void what_is_too_long_is_refused(void **ctx)
{
	struct shunt_pcapng_packet packet = { .captured = SHUNT_PCAPNG_SNAP + 1 };
	struct shunt_pcapng *file;

	(void)ctx;
	assert_int_equal(shunt_pcapng_open(&file, path, NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_put(file, &packet, NULL), -EMSGSIZE);
	assert_int_equal(put(file, 0, 0, NULL, NULL), 0);
	assert_int_equal(shunt_pcapng_close(file, NULL), 0);
	assert_int_equal(read_back(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pcap_is_read_back),
		cmocka_unit_test(pcapng_is_read_back),
		cmocka_unit_test(a_full_disk_leaves_whole_packets),
		cmocka_unit_test(interfaces_are_numbered),
		cmocka_unit_test(nothing_is_a_capture_too),
		cmocka_unit_test(what_is_too_long_is_refused),
	};
	int fd = mkstemp(path), ret;

	if (fd < 0)
		return 1;
	close(fd);
	ret = cmocka_run_group_tests_name("pcapng", tests, NULL, NULL);
	unlink(path);
	return ret;
}
