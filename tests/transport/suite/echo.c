/* SPDX-License-Identifier: BSD-2-Clause */
/* An end in a process of its own, so that it can be killed. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/transport/suite/rig.h"

#define DEADLINE_S 60
#define TURN_NS UINT64_C(20000000)

static void answer(struct shunt_transport *transport)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n = shunt_recv(transport, messages, SHUNT_BURST);
	unsigned int done = 0;

	while (done < n) {
		int taken = shunt_submit(transport, messages + done, n - done);

		if (taken <= 0)
			break;
		done += (unsigned int)taken;
	}
	shunt_release(transport, messages + done, n - done);
}

int rig_echo_main(const char *uri, const char *namespace_fd, const char *peer)
{
	struct shunt_transport *transport;
	struct shunt_err err = { "" };
	shunt_peer handle;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(DEADLINE_S);
	if (setns(atoi(namespace_fd), CLONE_NEWNET) ||
	    shunt_transport_open(&transport, uri, &err)) {
		printf("%s: %s\n", uri, err.message);
		return 1;
	}
	if (peer && shunt_peer_open(transport, &handle, peer, &err)) {
		printf("%s: %s\n", peer, err.message);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int ret = shunt_transport_poll(transport, TURN_NS, &err);

		if (ret < 0 && ret != -EINTR) {
			fprintf(stderr, "%s: %s\n", uri, err.message);
			return 1;
		}
		answer(transport);
	}
}

pid_t rig_echo_start(struct rig *rig, enum net_side side, uint16_t port)
{
	char uri[RIG_URI], fd[16], said[512] = "";
	int words[2], there = dup(net_fd(side));
	ssize_t n;
	pid_t pid;

	rig_uri(rig, side, net_address[side], port, "wait=poll", uri);
	snprintf(fd, sizeof(fd), "%d", there);
	assert_true(there >= 0);
	assert_int_equal(pipe(words), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(words[1], STDOUT_FILENO);
		fcntl(there, F_SETFD, 0);
		execl("/proc/self/exe", "conformance", "--echo", fd, uri, NULL);
		_exit(127);
	}
	close(words[1]);
	close(there);
	n = read(words[0], said, sizeof(said) - 1);
	close(words[0]);
	if (n <= 0 || strcmp(said, "ready\n") != 0) {
		rig_echo_kill(pid);
		fail_msg("the echo did not begin: %s", said);
	}
	return pid;
}

void rig_echo_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
