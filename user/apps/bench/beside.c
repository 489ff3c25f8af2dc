/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/beside.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define BEGIN_NS 5000000000u /* until a server has its port */
#define RUN_NS 20000000000u  /* until a client is done */
#define END_NS 3000000000u
#define PORTS 20000 /* a new one each time, as old ones rest for a while */
#define SAID_MAX (1u << 20)

bool shunt_bench_program_is_here(const struct shunt_bench_program *program, char *why,
				 size_t room)
{
	const char *path = getenv("PATH");
	char file[512];

	while (path && *path) {
		int bytes = (int)strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", bytes, path, program->binary);
		if (!access(file, X_OK))
			return true;
		path += bytes + (path[bytes] == ':');
	}
	snprintf(why, room, "%s is not installed: package %s has it", program->binary,
		 program->package);
	return false;
}

/* --- starting and ending them --------------------------------------------------------------- */

struct side {
	pid_t pid; /* 0: none */
	int said;  /* what it prints, in memory */
};

/* What stands for what, at one end. */
struct words {
	char size[16], port[16], device[64], link[16], gid[16];
	const char *server;
};

static struct words words_of(uint32_t size, int port,
			     const struct shunt_bench_rdma *rdma,
			     const struct shunt_bench_rdma_end *end)
{
	struct words words = { .server = rdma ? rdma->server.address
					      : SHUNT_BENCH_SERVER_ADDRESS };

	snprintf(words.size, sizeof(words.size), "%u", size);
	snprintf(words.port, sizeof(words.port), "%d", port);
	if (end) {
		snprintf(words.device, sizeof(words.device), "%s", end->device);
		snprintf(words.link, sizeof(words.link), "%u", end->port);
		snprintf(words.gid, sizeof(words.gid), "%u", end->gid);
	}
	return words;
}

/* What stands for something becomes that; other words stay as they are. */
static char *word_of(const char *arg, struct words *words)
{
	if (!strcmp(arg, "{size}"))
		return words->size;
	if (!strcmp(arg, "{port}"))
		return words->port;
	if (!strcmp(arg, "{server}"))
		return (char *)words->server;
	if (!strcmp(arg, "{device}"))
		return words->device;
	if (!strcmp(arg, "{link}"))
		return words->link;
	if (!strcmp(arg, "{gid}"))
		return words->gid;
	return (char *)arg;
}

/* Some look for interfaces in /sys, which shows those of the namespace it was mounted in. */
static void mount_sys(void)
{
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_SLAVE | MS_REC, NULL))
		return;
	umount2("/sys", MNT_DETACH);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL))
		return; /* those that need it say so themselves */
}

/* In a group of its own, so that ^C, and our own SIGINT, reach whom they are for. */
static void become(const struct shunt_bench_program *program, const char *const *args,
		   struct words *words, int said)
{
	char *argv[SHUNT_BENCH_ARGS + 1] = { NULL };
	char environment[64];
	size_t i;

	mount_sys();
	setpgid(0, 0);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	for (i = 0; i < SHUNT_BENCH_ARGS && args[i]; i++)
		argv[i] = word_of(args[i], words);
	if (program->environment) {
		snprintf(environment, sizeof(environment), "%s", program->environment);
		putenv(environment);
	}
	dup2(said, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	execvp(program->binary, argv);
	_exit(127);
}

static int begin(struct side *side, const struct shunt_bench_program *program,
		 const char *const *args, struct words *words, int space, int core)
{
	int pid;

	/* appended to by the program and all that it starts */
	side->said = memfd_create("shunt-bench", MFD_CLOEXEC);
	if (side->said < 0)
		return -errno;
	pid = shunt_bench_fork(space, core);
	if (!pid)
		become(program, args, words, side->said);
	side->pid = pid > 0 ? pid : 0;
	return pid < 0 ? pid : 0;
}

/* Has it ended? Then its status is taken. */
static bool is_over(struct side *side, int *status)
{
	if (!side->pid || waitpid(side->pid, status, WNOHANG) != side->pid)
		return false;
	side->pid = 0;
	return true;
}

/* Waits for the end: true; false: the time is over, or ^C. */
static bool await_end(struct side *side, uint64_t ns, const struct shunt_stop *stop,
		      int *status)
{
	uint64_t deadline = shunt_now_ns() + ns;

	while (!is_over(side, status)) {
		struct pollfd fd = { .fd = stop ? stop->event : -1, .events = POLLIN };

		poll(&fd, 1, 5);
		if (shunt_now_ns() > deadline || (stop && shunt_stop_wanted()))
			return false;
	}
	return true;
}

static void finish(struct side *side)
{
	int status;

	if (side->pid) {
		kill(side->pid, SIGKILL);
		waitpid(side->pid, &status, 0);
		side->pid = 0;
	}
	if (side->said >= 0)
		close(side->said);
	side->said = -1;
}

/* Is the port taken in the process's network namespace, by a socket of this kind? */
static bool has_port(pid_t pid, const char *kind, int port)
{
	char path[64], line[256], wanted[8];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, kind);
	snprintf(wanted, sizeof(wanted), ":%04X", (unsigned int)port & 0xffff);
	_file_ FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *local =
			strchr(line, ':'); /* behind the number of the line */

		local = local ? strchr(local + 1, ':') : NULL;
		if (local && !strncmp(local, wanted, 5))
			return true;
	}
	return false;
}

static bool await_port(struct side *server, int port, const struct shunt_stop *stop)
{
	static const char *const kinds[] = { "tcp", "udp", "tcp6", "udp6" };
	uint64_t deadline = shunt_now_ns() + BEGIN_NS;
	int status;
	size_t i;

	while (shunt_now_ns() < deadline && !is_over(server, &status)) {
		struct pollfd fd = { .fd = stop->event, .events = POLLIN };

		for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
			if (has_port(server->pid, kinds[i], port))
				return true;
		poll(&fd, 1, 2);
		if (shunt_stop_wanted())
			return false;
	}
	return false;
}

/* All that it has printed, with a NUL; NULL: out of memory. */
static char *text_of(const struct side *side)
{
	struct stat st;
	size_t bytes = fstat(side->said, &st) ? 0 : (size_t)st.st_size;
	ssize_t n;
	char *text;

	if (bytes > SAID_MAX)
		bytes = SAID_MAX;
	text = malloc(bytes + 1);
	if (!text)
		return NULL;
	n = pread(side->said, text, bytes, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* --- one case ------------------------------------------------------------------------------- */

struct run {
	const struct shunt_bench_program *program;
	const struct shunt_bench_case *todo;
	const struct shunt_bench_stage *stage;
	const struct shunt_bench_rdma *rdma; /* NULL: on the stage */
	const int *cores;
	const struct shunt_stop *stop;
	struct side server, client;
};

/* One end on its core: the server's or the client's. */
static int begin_end(struct run *run, bool serves, int port)
{
	const struct shunt_bench_rdma *rdma = run->rdma;
	struct words words = words_of(run->todo->size, port, rdma,
				      !rdma    ? NULL
				      : serves ? &rdma->server
					       : &rdma->client);
	int space = rdma ? -1 : serves ? run->stage->server : run->stage->client;

	return begin(serves ? &run->server : &run->client, run->program,
		     serves ? run->program->server : run->program->client, &words,
		     space, run->cores[serves]);
}

/* Both have run to their end: 0; -ETIMEDOUT or another -errno with a sentence. */
static int play(struct run *run, struct shunt_err *err)
{
	static int port = PORTS;
	const struct shunt_bench_program *program = run->program;
	int ret, status = 0;

	port = port < PORTS + 20000 ? port + 1 : PORTS;
	ret = begin_end(run, true, port);
	if (!ret && !await_port(&run->server, port, run->stop))
		return shunt_fail(err, -ETIMEDOUT, "its server does not begin");
	if (!ret)
		ret = begin_end(run, false, port);
	if (ret)
		return shunt_fail_errno(err, ret, "start %s", program->binary);
	if (!await_end(&run->client, RUN_NS, run->stop, &status))
		return shunt_fail(err, -ETIMEDOUT, "its client does not end");
	if (!program->server_ends && run->server.pid)
		kill(run->server.pid, SIGINT);
	await_end(&run->server, END_NS, run->stop, &status);
	return 0;
}

static int look(struct run *run, struct shunt_bench_round *round, struct shunt_err *err)
{
	_free_ char *client = text_of(&run->client);
	_free_ char *server = text_of(&run->server);

	return client && server
		       ? run->program->read(client, server, run->todo->size, round, err)
		       : shunt_fail_errno(err, -ENOMEM, "read its figures");
}

int shunt_bench_program_run(const struct shunt_bench_program *program,
			    const struct shunt_bench_case *todo,
			    const struct shunt_bench_stage *stage,
			    const struct shunt_bench_rdma *rdma, const int cores[2],
			    const struct shunt_stop *stop,
			    struct shunt_bench_round *round,
			    char error[SHUNT_BENCH_WORDS], struct shunt_err *err)
{
	struct run run = {
		program, todo, stage, rdma, cores, stop, { 0, -1 }, { 0, -1 }
	};
	struct shunt_err said = { "" };
	int ret = play(&run, &said);

	if (!ret)
		ret = look(&run, round, &said);
	finish(&run.client);
	finish(&run.server);
	if (shunt_stop_wanted())
		return shunt_fail(err, -EINTR, "bench: stopped");
	if (ret)
		snprintf(error, SHUNT_BENCH_WORDS, "%s: %.480s", program->binary,
			 said.message);
	return 0;
}
