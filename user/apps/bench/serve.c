/* SPDX-License-Identifier: BSD-2-Clause */
/* A server for a client on another machine: `bench transports --serve`. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "user/apps/bench/bench.h"
#include "user/apps/bench/ends.h"
#include "user/apps/bench/name.h"
#include "user/apps/bench/payload.h"

struct server {
	struct shunt_bench_link *link;
	struct shunt_transport *transport;
	struct shunt_err err;
	int ret;
};

/* The transport belongs to this thread from here on. */
static void *serve(void *arg)
{
	struct server *server = arg;

	server->ret =
		shunt_bench_serve_on(server->transport, server->link, &server->err);
	return NULL;
}

/* Waits for ^C, and for the server's own end. */
static int await_stop(struct server *server, const struct shunt_stop *stop)
{
	bool ended = false;
	pthread_t thread;
	int ret = pthread_create(&thread, NULL, serve, server);

	if (ret)
		return -ret;
	while (!ended && !shunt_stop_wanted()) {
		struct pollfd fd = { .fd = stop->event, .events = POLLIN };

		poll(&fd, 1, 200);
		ended = !pthread_tryjoin_np(thread, NULL);
	}
	atomic_store_explicit(&server->link->stop, 1, memory_order_relaxed);
	if (!ended)
		pthread_join(thread, NULL);
	return server->ret;
}

static int open_server(struct server *server, const char *backend, const char *address,
		       const char *wait, struct shunt_err *err)
{
	const char *slash = strchr(backend, '/');
	char name[20], uri[512];
	const struct shunt_transport_ops *ops;
	const char *const *protos;

	snprintf(name, sizeof(name), "%.*s", slash ? (int)(slash - backend) : 19,
		 backend);
	ops = shunt_bench_backend(name);
	if (!ops)
		return shunt_fail(err, -EINVAL,
				  "--backend %s: `shunt help transports` lists those "
				  "that there are",
				  backend);
	protos = shunt_bench_protos(ops);
	shunt_bench_uri(uri, sizeof(uri), ops, address,
			slash	 ? slash + 1
			: protos ? *protos
				 : "",
			wait);
	return shunt_transport_open(&server->transport, uri, err);
}

int shunt_bench_server(const char *backend, const char *address, const char *wait,
		       FILE *out, struct shunt_err *err)
{
	struct server server = { .link = shunt_bench_link_open() };
	struct shunt_stop stop;
	int ret = server.link ? shunt_stop_open(&stop, err)
			      : shunt_fail_errno(err, -ENOMEM, "bench: memory");

	if (ret) {
		shunt_bench_link_close(server.link);
		return ret;
	}
	shunt_bench_pattern_make();
	ret = open_server(&server, backend, address, wait, err);
	if (!ret) {
		fprintf(out, "serving %s://%s until ^C\n", backend,
			shunt_transport_address(server.transport));
		fflush(out);
		ret = await_stop(&server, &stop);
		if (ret < 0 && *server.err.message)
			*err = server.err;
	}
	shunt_transport_close(server.transport);
	shunt_stop_close(&stop);
	shunt_bench_link_close(server.link);
	return ret;
}
