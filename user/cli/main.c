/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "loader/shunt.h"
#include "user/base/progress.h"
#include "user/cli/cli.h"

/* A change of the kernel's state is short; ^C in its midst is served when it is done. */
static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

#define QUIET_NS 200000000ull /* so long nobody minds */

/* While it waits for another command it says so once, and ^C is served. */
static bool waiting(const char *sentence, uint64_t waited_ns, void *told)
{
	sigset_t pending;

	if (waited_ns >= QUIET_NS && !*(bool *)told) {
		fprintf(stderr, "shunt: %s\n", sentence);
		*(bool *)told = true;
	}
	sigpending(&pending);
	return !sigismember(&pending, SIGINT) && !sigismember(&pending, SIGTERM) &&
	       !sigismember(&pending, SIGHUP);
}

static int be_patient(const struct shunt_cli *cli, struct shunt_err *err)
{
	static bool told;
	struct shunt_wait_opts opts = { .sz = sizeof(opts),
					.timeout_ns = UINT64_MAX,
					.waiting = waiting,
					.ctx = &told };
	int ret = shunt_cli_duration(cli, "wait", &opts.timeout_ns, err);

	if (shunt_cli_option(cli, "no-wait"))
		opts.timeout_ns = 0;
	if (!ret && shunt_cli_option(cli, "wait") && !opts.timeout_ns)
		return shunt_fail(err, -EINVAL,
				  "--wait and --no-wait exclude each other");
	if (!ret)
		shunt_wait(&opts);
	return ret;
}

static int run(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *netns = shunt_cli_option(cli, "netns");
	int ret = 0;

	assert(cli->command);
	if (cli->command->root && geteuid())
		return shunt_fail(
			err, -EPERM,
			"%s needs root, for it works with BPF: run `sudo shunt %s "
			"…`",
			cli->command->name, cli->command->name);
	if (netns)
		ret = shunt_netns_enter(netns, err);
	if (!ret && cli->command->unbroken)
		ret = be_patient(cli, err);
	if (!ret && cli->command->unbroken)
		hold_signals(SIG_BLOCK);
	if (!ret)
		ret = cli->command->run(cli, err);
	if (cli->command->unbroken)
		hold_signals(SIG_UNBLOCK);
	return ret;
}

static bool asks_for_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

int main(int argc, char **argv)
{
	struct shunt_cli cli = { 0 };
	static char version[] = "version";
	struct shunt_err err = { "" };
	int i, ret;

	if (argc < 2 || asks_for_help(argv[1])) {
		shunt_help_all();
		return argc < 2 ? SHUNT_EXIT_USAGE : 0;
	}
	if (!strcmp(argv[1], "--version"))
		argv[1] = version;
	for (i = 1; i < argc; i++)
		cli.json |= !strcmp(argv[i], "--json") || !strcmp(argv[i], "-j");
	ret = shunt_cli_parse(&cli, argc - 1, argv + 1, &err);
	for (i = 2; i < argc; i++) {
		if (cli.command && asks_for_help(argv[i])) {
			shunt_help_command(cli.command);
			return 0;
		}
	}
	if (ret) {
		shunt_out_error(&cli, err.message);
		return SHUNT_EXIT_USAGE;
	}
	/* the libraries' own remarks: what matters of them is in our sentences */
	libbpf_set_print(NULL);
	libxdp_set_print(NULL);
	shunt_progress_to(shunt_out_progress);
	ret = run(&cli, &err);
	if (ret < 0 && *err.message)
		shunt_out_error(&cli, err.message);
	/* a JSON answer was flushed before; its failure is remembered, but not its errno */
	if ((fflush(stdout) || ferror(stdout)) && !ret) {
		fprintf(stderr,
			"shunt: write the answer: the output is closed or its disk "
			"is full\n");
		return SHUNT_EXIT_FAILED;
	}
	return ret ? SHUNT_EXIT_FAILED : 0;
}
