/* SPDX-License-Identifier: BSD-2-Clause */
/* serve: a consumer's sockets for processes that are not root. */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maps/consumer.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"
#include "user/io/pass.h"
#include "user/io/serve.h"

#define CLIENTS 16
#define CLIENTS_MAX 256
#define FRAMES 16384 /* 64 MiB of 4 KiB */
#define HEAR_MS 1000u

struct server {
	const struct shunt_cli *cli;
	struct shunt_serve_opts opts;
	const char *path;
	mode_t mode;
	gid_t group; /* -1: as it is */
	uint64_t clients_max, clients;
	int listen_fd, signal_fd;
	int stop[2]; /* its other end closes with us, however we end */
};

/* --- telling ------------------------------------------------------------------------ */

static cJSON *new_event(const struct server *server, const char *event)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "schema", "shunt.serve/1");
	cJSON_AddStringToObject(reply, "event", event);
	cJSON_AddStringToObject(reply, "interface", server->opts.interface);
	cJSON_AddStringToObject(reply, "consumer", server->opts.consumer);
	return reply;
}

static void print_event(const struct server *server, const cJSON *reply)
{
	const cJSON *pid = cJSON_GetObjectItemCaseSensitive(reply, "pid");
	const char *why = shunt_json_str(reply, "error");

	if (server->cli->json) {
		shunt_out_json(reply);
		return;
	}
	printf("%s", shunt_json_str(reply, "event"));
	if (pid)
		printf("  process %d of user %llu", pid->valueint,
		       (unsigned long long)shunt_json_u64(reply, "uid"));
	if (*why)
		printf(": %s", why);
	printf("\n");
	fflush(stdout);
}

static void tell(const struct server *server, const char *event,
		 const struct shunt_serve_client *client, const char *why)
{
	_json_ cJSON *reply = new_event(server, event);
	cJSON *queues;
	unsigned int queue;

	if (client) {
		cJSON_AddNumberToObject(reply, "pid", client->peer.pid);
		cJSON_AddNumberToObject(reply, "uid", client->peer.uid);
	}
	if (client && client->queues) {
		queues = cJSON_AddArrayToObject(reply, "queues");
		for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++)
			if (client->queues >> queue & 1)
				cJSON_AddItemToArray(queues, cJSON_CreateNumber(queue));
	}
	if (why)
		cJSON_AddStringToObject(reply, "error", why);
	print_event(server, reply);
}

/* --- one client, in a process of its own ----------------------------------------------- */

static void joined(const struct shunt_serve_client *client, void *self)
{
	tell(self, "joined", client, NULL);
}

/* The signals that end the server are not for this one: it ends with the other. */
static int serve_one(struct server *server, int fd)
{
	struct shunt_serve_client client = { 0 };
	struct shunt_err err = { "" };
	int ret;

	close(server->stop[1]);
	close(server->listen_fd);
	if (shunt_pass_peer(fd, &client.peer))
		return 1;
	ret = shunt_serve_client(fd, server->stop[0], &server->opts, joined, server,
				 &err);
	if (ret < 0)
		tell(server, "refused", &client, err.message);
	else
		tell(server, ret ? "died" : "left", &client, NULL);
	return 0;
}

static void meet(struct server *server)
{
	_fd_ int fd = shunt_pass_accept(server->listen_fd, HEAR_MS);
	pid_t pid;

	if (fd < 0 || server->clients == server->clients_max)
		return;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int code = serve_one(server, fd);

		fflush(stdout);
		_exit(code);
	}
	server->clients += pid > 0;
}

static void bury(struct server *server, int options)
{
	while (server->clients && waitpid(-1, NULL, options) > 0)
		server->clients--;
}

/* --- the server -------------------------------------------------------------------------- */

static int read_mode(struct server *server, struct shunt_err *err)
{
	const char *mode = shunt_cli_option(server->cli, "mode");
	const char *group = shunt_cli_option(server->cli, "group");
	const struct group *found = group ? getgrnam(group) : NULL;
	char *end;

	if (group && !found)
		return shunt_fail(err, -ENOENT,
				  "--group \"%s\": there is no such group", group);
	server->group = found ? found->gr_gid : (gid_t)-1;
	server->mode = found ? 0660 : 0600;
	if (!mode)
		return 0;
	server->mode = (mode_t)strtoul(mode, &end, 8);
	return *end || end == mode || server->mode > 0777
		       ? shunt_fail(err, -EINVAL,
				    "--mode \"%s\" is no mode: say 0660, or 0666 for "
				    "everybody",
				    mode)
		       : 0;
}

/* What a server that was killed has left is no socket that anybody answers. */
static void clear_path(const char *path)
{
	struct stat facts;
	_fd_ int fd = shunt_pass_connect(path, HEAR_MS);

	if (fd == -ECONNREFUSED && !lstat(path, &facts) && S_ISSOCK(facts.st_mode))
		unlink(path);
}

static int open_path(struct server *server, struct shunt_err *err)
{
	mode_t before;

	clear_path(server->path);
	before = umask(0777);
	server->listen_fd = shunt_pass_listen(server->path);
	umask(before);
	if (server->listen_fd < 0)
		return shunt_fail_errno(err, server->listen_fd, "listen at %s",
					server->path);
	if (chown(server->path, (uid_t)-1, server->group) ||
	    chmod(server->path, server->mode))
		return shunt_fail_errno(err, -errno, "say who may use %s",
					server->path);
	return 0;
}

static int open_signals(struct server *server, struct shunt_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signal_fd < 0 || pipe(server->stop))
		return shunt_fail_errno(err, -errno, "wait for signals");
	return 0;
}

/* True: it is to end. */
static bool hear_signal(struct server *server)
{
	struct signalfd_siginfo info;
	bool ends = false;

	while (read(server->signal_fd, &info, sizeof(info)) == sizeof(info))
		ends |= info.ssi_signo != SIGCHLD;
	bury(server, WNOHANG);
	return ends;
}

static int serve(struct server *server, struct shunt_err *err)
{
	struct pollfd fds[] = { { .fd = server->signal_fd, .events = POLLIN },
				{ .fd = server->listen_fd, .events = POLLIN } };

	tell(server, "listening", NULL, NULL);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return shunt_fail_errno(err, -errno, "wait for clients");
		if (fds[0].revents && hear_signal(server))
			return 0;
		if (fds[1].revents)
			meet(server);
	}
}

static void close_server(struct server *server)
{
	if (server->stop[1] >= 0)
		close(server->stop[1]);
	bury(server, 0);
	if (server->listen_fd >= 0) {
		close(server->listen_fd);
		unlink(server->path);
	}
	if (server->stop[0] >= 0)
		close(server->stop[0]);
	if (server->signal_fd >= 0)
		close(server->signal_fd);
}

static int check_consumer(const struct server *server, struct shunt_err *err)
{
	struct shunt_consumer consumer;
	int ret = shunt_consumer_open(server->opts.interface, server->opts.consumer,
				      &consumer, err);

	if (ret)
		return ret;
	if (consumer.map_fd < 0)
		return shunt_fail(err, -EOPNOTSUPP,
				  "consumer %s is served by a ring buffer alone: there "
				  "are no sockets to hand out",
				  server->opts.consumer);
	close(consumer.map_fd);
	return 0;
}

int shunt_cli_serve(struct shunt_cli *cli, struct shunt_err *err)
{
	struct server server __attribute__((cleanup(close_server))) = {
		.cli = cli,
		.opts = { .interface = cli->arg[0],
			  .consumer = shunt_cli_option(cli, "consumer"),
			  .frames_max = FRAMES },
		.path = shunt_cli_option(cli, "socket"),
		.clients_max = CLIENTS,
		.listen_fd = -1,
		.signal_fd = -1,
		.stop = { -1, -1 },
	};
	int ret;

	if (!server.opts.consumer || !server.path)
		return shunt_fail(
			err, -EINVAL,
			"serve: which consumer, and where? --consumer NAME and "
			"--socket PATH say");
	ret = shunt_cli_number(cli, "clients", &server.clients_max, err);
	if (!ret)
		ret = shunt_cli_number(cli, "frames", &server.opts.frames_max, err);
	if (!ret && server.clients_max > CLIENTS_MAX)
		ret = shunt_fail(err, -EINVAL, "--clients %llu: there may be %d",
				 (unsigned long long)server.clients_max, CLIENTS_MAX);
	if (!ret)
		ret = read_mode(&server, err);
	if (!ret)
		ret = check_consumer(&server, err);
	if (!ret)
		ret = open_signals(&server, err);
	if (!ret)
		ret = open_path(&server, err);
	return ret ? ret : serve(&server, err);
}
