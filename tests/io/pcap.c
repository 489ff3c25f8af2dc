/* SPDX-License-Identifier: BSD-2-Clause */
/* Files as ports: again and again, in their own time, through pipes, and damaged. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "user/base/clock.h"
#include "user/io/pcapfile.h"
#include "user/io/pcapng.h"
#include "user/io/port.h"

#define START_NS UINT64_C(1700000000987654321)
#define PACKETS 5u
#define BYTES 100u

static char in[64], out[64];

static void fill(uint8_t *bytes, uint32_t number)
{
	for (uint32_t i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)(number * 13 + i);
}

static int put(struct shunt_pcapng *file, uint32_t number, uint64_t time_ns)
{
	uint8_t bytes[BYTES];
	const struct shunt_pcapng_packet packet = {
		.time_ns = time_ns, .bytes = bytes, .captured = BYTES, .len = BYTES
	};

	fill(bytes, number);
	return shunt_pcapng_put(file, &packet, NULL);
}

/* Packets 0 to n - 1, so many nanoseconds apart. */
static void write_file(uint32_t n, uint64_t apart_ns)
{
	const struct shunt_pcapng_opts opts = { .sz = sizeof(opts),
						.format = SHUNT_PCAPNG_OLD };
	struct shunt_pcapng *file;

	assert_int_equal(shunt_pcapng_open(&file, in, &opts, NULL), 0);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(put(file, i, START_NS + i * apart_ns), 0);
	assert_int_equal(shunt_pcapng_close(file, NULL), 0);
}

static struct shunt_port *opened(const char *device, const char *options)
{
	struct shunt_port *port;
	struct shunt_err err = { "" };
	char text[128];

	snprintf(text, sizeof(text), "pcap:%s%s", device, options);
	if (shunt_port_open(&port, text, NULL, &err))
		fail_msg("%s", err.message);
	return port;
}

static void is_packet(const struct shunt_frame *frame, uint32_t number)
{
	uint8_t want[BYTES];

	fill(want, number);
	assert_int_equal(frame->len, BYTES);
	assert_memory_equal(frame->data, want, BYTES);
}

/* Takes what there is at the moment, and checks that it goes on at `number`. */
static unsigned int take(struct shunt_port *port, uint32_t number)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n = shunt_port_rx(port, frames, SHUNT_BURST);

	for (unsigned int i = 0; i < n; i++)
		is_packet(&frames[i], (number + i) % PACKETS);
	shunt_frames_put(frames, n);
	return n;
}

static int ready(struct shunt_port *port, int wait_ms)
{
	struct pollfd fds[SHUNT_PORT_FDS];
	unsigned int n = port->ops->wait(port, fds, SHUNT_PORT_FDS);

	return poll(fds, n, wait_ms);
}

static void a_file_can_be_read_again(void **state)
{
	struct shunt_port *port;
	unsigned int n = 0;

	(void)state;
	write_file(PACKETS, 1);
	port = opened(in, ",loop=3");
	while (!port->ended)
		n += take(port, n);
	assert_int_equal(n, 3 * PACKETS);
	assert_int_equal(port->count.rx_packets, 3 * PACKETS);
	shunt_port_close(port);
	port = opened(in, ",loop=0");
	for (n = 0; n < 1000;)
		n += take(port, n);
	assert_false(port->ended);
	shunt_port_close(port);
	/* of nothing, there is no end of it either way */
	write_file(0, 1);
	port = opened(in, ",loop=0");
	assert_int_equal(take(port, 0), 0);
	assert_true(port->ended);
	shunt_port_close(port);
}

static void packets_keep_their_distance(void **state)
{
	const uint64_t apart_ns = 20000000;
	struct shunt_port *port;
	uint64_t start_ns;
	unsigned int n;

	(void)state;
	write_file(PACKETS, apart_ns);
	port = opened(in, ",pace");
	start_ns = shunt_now_ns();
	for (n = 0; n < PACKETS;) {
		unsigned int got = take(port, n);

		n += got;
		if (got)
			assert_true(shunt_now_ns() - start_ns >= (n - 1) * apart_ns);
		else
			assert_int_equal(ready(port, 5000), 1);
	}
	shunt_port_close(port);
}

static void a_pipe_is_waited_for(void **state)
{
	int pipes[2], kept = dup(STDIN_FILENO);
	struct shunt_port *port;
	uint8_t bytes[4096];
	int fd;
	ssize_t n;

	(void)state;
	write_file(PACKETS, 1);
	fd = open(in, O_RDONLY | O_CLOEXEC);
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(dup2(pipes[0], STDIN_FILENO), STDIN_FILENO);
	/* all but the last two packets */
	assert_int_equal(write(pipes[1], bytes, (size_t)n - 2 * (16 + BYTES)),
			 n - 2 * (16 + BYTES));
	port = opened("-", "");
	assert_int_equal(take(port, 0), PACKETS - 2);
	assert_int_equal(take(port, 0), 0);
	assert_int_equal(ready(port, 0), 0);
	assert_int_equal(write(pipes[1], bytes + n - 2 * (16 + BYTES),
			       2 * (16 + BYTES)),
			 2 * (16 + BYTES));
	assert_int_equal(ready(port, 5000), 1);
	assert_int_equal(take(port, PACKETS - 2), 2);
	assert_false(port->ended);
	close(pipes[1]);
	assert_int_equal(ready(port, 5000), 1);
	assert_int_equal(take(port, 0), 0);
	assert_true(port->ended);
	shunt_port_close(port);
	dup2(kept, STDIN_FILENO);
	close(kept);
	close(pipes[0]);
}

static void a_cut_file_says_where(void **state)
{
	struct shunt_err err = { "" };
	struct shunt_port *port;

	(void)state;
	write_file(PACKETS, 1);
	assert_int_equal(truncate(in, 24 + 3 * (16 + BYTES) + 50), 0);
	port = opened(in, "");
	assert_int_equal(take(port, 0), 3);
	assert_int_equal(take(port, 3), 0);
	assert_false(port->ended);
	assert_int_equal(shunt_port_kick(port, &err), -EINVAL);
	assert_non_null(strstr(err.message, "behind packet 3: truncated"));
	assert_non_null(strstr(err.message, in));
	shunt_port_close(port);
}

/* From file to file nothing changes, not even the times. */
static void times_are_kept(void **state)
{
	struct shunt_pcapfile_packet packet;
	struct shunt_frame frames[PACKETS];
	struct shunt_pcapfile *file;
	struct shunt_port *from, *to;
	uint8_t want[BYTES];

	(void)state;
	write_file(PACKETS, 12345678901);
	from = opened(in, "");
	to = opened(out, ",write,format=pcapng");
	assert_int_equal(shunt_port_rx(from, frames, PACKETS), PACKETS);
	assert_int_equal(shunt_port_tx(to, frames, PACKETS), PACKETS);
	assert_int_equal(shunt_port_kick(to, NULL), 0);
	shunt_port_close(to);
	shunt_port_close(from);
	assert_int_equal(shunt_pcapfile_open(&file, out, NULL), 0);
	for (uint32_t i = 0; i < PACKETS; i++) {
		assert_int_equal(shunt_pcapfile_next(file, &packet, NULL), 1);
		assert_true(packet.time_ns == START_NS + i * UINT64_C(12345678901));
		fill(want, i);
		assert_int_equal(packet.captured, BYTES);
		assert_memory_equal(packet.bytes, want, BYTES);
	}
	assert_int_equal(shunt_pcapfile_next(file, &packet, NULL), 0);
	shunt_pcapfile_close(file);
}

/* The port takes no more, and says why; what the file has is whole. */
static void a_full_disk_is_told(void **state)
{
	const struct rlimit limit = { 1000, RLIM_INFINITY };
	struct shunt_pcapfile_packet packet;
	struct shunt_memory *memory;
	struct shunt_frame frames[16];
	struct shunt_err err = { "" };
	struct shunt_pcapfile *file;
	struct shunt_port *port;
	uint8_t bytes[BYTES] = { 0 };
	struct rlimit old;
	unsigned int n = 0;
	int ret;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(shunt_memory_open(&memory, NULL, NULL), 0);
	port = opened(out, ",write,format=pcap");
	while (n < 16)
		n += shunt_packet_fill(&memory->pool, bytes, BYTES, frames + n, 1);
	assert_int_equal(shunt_port_tx(port, frames, 16), 16);
	getrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ret = shunt_port_kick(port, &err);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(ret, -EFBIG);
	assert_non_null(strstr(err.message, out));
	assert_int_equal(shunt_packet_fill(&memory->pool, bytes, BYTES, frames, 1), 1);
	assert_int_equal(shunt_port_tx(port, frames, 1), 0);
	shunt_frames_put(frames, 1);
	assert_int_equal(shunt_port_kick(port, NULL), -EFBIG);
	assert_int_equal(shunt_memory_free_frames(memory), memory->frames);
	shunt_port_close(port);
	shunt_memory_close(memory);
	assert_int_equal(shunt_pcapfile_open(&file, out, NULL), 0);
	for (n = 0; (ret = shunt_pcapfile_next(file, &packet, NULL)) == 1; n++)
		assert_int_equal(packet.captured, BYTES);
	assert_int_equal(ret, 0);
	assert_int_equal(n, (1000 - 24) / (16 + BYTES));
	shunt_pcapfile_close(file);
}

static void refused(const char *device, const char *options, const char *words)
{
	struct shunt_err err = { "" };
	struct shunt_port *port;
	char text[128];

	snprintf(text, sizeof(text), "pcap:%s%s", device, options);
	assert_true(shunt_port_open(&port, text, NULL, &err) < 0);
	if (!strstr(err.message, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, words);
}

static void what_makes_no_sense_is_refused(void **state)
{
	(void)state;
	refused("/nowhere/x.pcap", "", "No such file");
	refused("/nowhere/x.pcap", ",write", "No such file");
	refused("/dev/null", "", "/dev/null");
	write_file(1, 1);
	refused(in, ",write,loop=2", "loop and pace");
	refused(in, ",write,pace", "loop and pace");
	refused(in, ",format=pcapng", "written");
	assert_int_equal(truncate(in, 10), 0);
	refused(in, "", in);
}

static int clean(void **state)
{
	(void)state;
	unlink(in);
	unlink(out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_file_can_be_read_again, clean),
		cmocka_unit_test_teardown(packets_keep_their_distance, clean),
		cmocka_unit_test_teardown(a_pipe_is_waited_for, clean),
		cmocka_unit_test_teardown(a_cut_file_says_where, clean),
		cmocka_unit_test_teardown(times_are_kept, clean),
		cmocka_unit_test_teardown(a_full_disk_is_told, clean),
		cmocka_unit_test_teardown(what_makes_no_sense_is_refused, clean),
	};

	snprintf(in, sizeof(in), "/tmp/shunt-port-%d-in", (int)getpid());
	snprintf(out, sizeof(out), "/tmp/shunt-port-%d-out", (int)getpid());
	return cmocka_run_group_tests_name("pcap", tests, NULL, NULL);
}
