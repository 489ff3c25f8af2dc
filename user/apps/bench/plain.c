/* SPDX-License-Identifier: BSD-2-Clause */
/* The floor: a UDP socket with recvfrom() and sendto(), and nothing around them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "user/apps/bench/ends.h"
#include "user/apps/bench/payload.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define PLAIN_PORT 7999

/* A socket that is bound, or -errno. One that blocks looks up now and then. */
static int plain_socket(const char *address, uint16_t port)
{
	const struct timeval look = { .tv_usec = SHUNT_BENCH_LOOK_NS / 1000 };
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(port) };
	_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &own.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look)) ||
	    bind(fd, (const struct sockaddr *)&own, sizeof(own)))
		return -errno;
	return shunt_steal_fd(&fd);
}

void shunt_bench_plain_serve(struct shunt_bench_link *link,
			     const struct shunt_bench_job *job)
{
	_fd_ int fd = plain_socket(SHUNT_BENCH_SERVER_ADDRESS, PLAIN_PORT);
	int flags = job->spins ? MSG_DONTWAIT : 0;
	static uint8_t bytes[SHUNT_BENCH_SIZE_MAX];

	if (fd < 0) {
		snprintf(link->server_error, sizeof(link->server_error),
			 "a UDP socket at port %d: %s", PLAIN_PORT, strerror(-fd));
		return;
	}
	atomic_store_explicit(&link->ready, 1, memory_order_release);
	while (!shunt_bench_stopped(link)) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), flags,
				     (struct sockaddr *)&from, &len);

		if (n >= 0 && sendto(fd, bytes, (size_t)n, 0,
				     (const struct sockaddr *)&from, len) < 0)
			continue; /* lost, as the client will find */
	}
}

/* 1: the reply, at *at_ns; 0: lost. */
static int plain_await(int fd, int flags, uint64_t number, uint64_t sent_ns,
		       uint64_t *at_ns, struct shunt_bench_result *result)
{
	static uint8_t bytes[SHUNT_BENCH_SIZE_MAX];

	do {
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), flags, NULL, NULL);
		uint64_t seen;

		*at_ns = shunt_now_ns();
		if (n < 0)
			continue;
		if (!shunt_bench_check(bytes, (uint32_t)n, &seen))
			return -EBADMSG;
		if (seen == number)
			return 1;
		result->stray++;
	} while (*at_ns - sent_ns < SHUNT_BENCH_LOST_NS);
	return 0;
}

static int plain_turns(int fd, int flags, const struct shunt_bench_case *todo,
		       uint64_t *number, struct shunt_bench_result *result,
		       const struct shunt_bench_link *link)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PLAIN_PORT) };
	static uint8_t bytes[SHUNT_BENCH_SIZE_MAX];
	uint64_t start = shunt_now_ns(), now = start, heard = start;
	int ret = 0;

	inet_pton(AF_INET, SHUNT_BENCH_SERVER_ADDRESS, &to.sin_addr);
	while (ret >= 0 && now - start < todo->duration_ns) {
		uint64_t sent;

		shunt_bench_fill(bytes, todo->size, ++*number);
		sent = shunt_now_ns();
		if (sendto(fd, bytes, todo->size, 0, (const struct sockaddr *)&to,
			   sizeof(to)) < 0)
			return -errno;
		result->requests++;
		ret = plain_await(fd, flags, *number, sent, &now, result);
		if (ret > 0) {
			heard = now;
			result->replies++;
			shunt_histogram_record(&result->latency, now - sent);
		} else if (now - heard > SHUNT_BENCH_STALL_NS) {
			ret = -ETIMEDOUT;
		}
		if (shunt_bench_stopped(link))
			ret = -EINTR;
	}
	result->elapsed_ns = now - start;
	result->lost = result->requests - result->replies;
	return ret < 0 ? ret : 0;
}

static int plain_measure(int fd, int flags, const struct shunt_bench_case *todo,
			 uint64_t *number, struct shunt_bench_result *result,
			 const struct shunt_bench_link *link)
{
	static struct shunt_bench_result warm;
	struct shunt_bench_case brief = *todo;
	uint64_t cpu, server_cpu;
	int ret;

	if (todo->kind != SHUNT_BENCH_TURN || todo->peers > 1)
		return 0; /* it is beside round trips alone */
	brief.duration_ns = todo->duration_ns / 5;
	ret = plain_turns(fd, flags, &brief, number, &warm, link);
	if (ret)
		return ret;
	cpu = shunt_bench_cpu_ns();
	server_cpu = shunt_bench_cpu_of_ns(link->server_pid);
	ret = plain_turns(fd, flags, todo, number, result, link);
	result->server_cpu_ns = shunt_bench_cpu_of_ns(link->server_pid) - server_cpu;
	result->server_cpu_known = server_cpu != 0;
	result->client_cpu_ns = shunt_bench_cpu_ns() - cpu;
	result->cpu_known = true;
	result->state = SHUNT_BENCH_MEASURED;
	return ret;
}

void shunt_bench_plain_ask(struct shunt_bench_link *link,
			   const struct shunt_bench_job *job)
{
	_fd_ int fd = plain_socket(SHUNT_BENCH_CLIENT_ADDRESS, 0);
	uint64_t number = 0;
	int ret = fd < 0 ? fd : 0;
	uint32_t i;

	while (!ret && !atomic_load_explicit(&link->ready, memory_order_acquire)) {
		poll(NULL, 0, 1);
		if (shunt_bench_stopped(link))
			ret = -EINTR;
	}
	for (i = 0; !ret && i < link->cases; i++) {
		struct shunt_bench_result *result = &link->result[i];

		ret = plain_measure(fd, job->spins ? MSG_DONTWAIT : 0, &link->todo[i],
				    &number, result, link);
		if (!ret)
			continue;
		result->state = SHUNT_BENCH_FAILED;
		snprintf(result->error, sizeof(result->error), "%s", strerror(-ret));
	}
	if (ret && !i)
		snprintf(link->client_error, sizeof(link->client_error),
			 "a UDP socket: %s", strerror(-ret));
}
