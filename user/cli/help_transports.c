/* SPDX-License-Identifier: BSD-2-Clause */
/* help and the manual of transports: made from the table of backends and their options. */
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/transport/uri.h"

#define HELP_AT 12 /* the column of what a transport is */

static void print_transport(const struct shunt_transport_ops *ops)
{
	char room[512];
	const char *why = ops->absent ? ops->absent(room, sizeof(room)) : NULL;

	printf("transport: %s://[ADDRESS]:PORT[?KEY=VALUE[&KEY=VALUE]...]\n\n%s.\n",
	       ops->scheme, ops->help);
	if (why)
		printf("It cannot be had here: %s\n", why);
	printf("\n");
	if (ops->options)
		shunt_help_options(ops->options);
	shunt_help_options(shunt_transport_rows);
}

static void print_list(void)
{
	char room[512];
	size_t i;

	printf("A transport is SCHEME://[ADDRESS]:PORT[?KEY=VALUE[&KEY=VALUE]...]\n\n");
	for (i = 0; shunt_transport_backends[i]; i++) {
		const struct shunt_transport_ops *ops = shunt_transport_backends[i];
		bool absent = ops->absent && ops->absent(room, sizeof(room));
		int width = (int)strlen(ops->scheme) + 5;

		printf("  %s%s://%s%*s%s%s\n", shunt_out_bold(), ops->scheme,
		       shunt_out_plain(), width < HELP_AT ? HELP_AT - width : 1, "",
		       ops->help, absent ? " (not here)" : "");
	}
	printf("\n`shunt help SCHEME://` tells the options of one, and why it is not "
	       "here.\n");
}

bool shunt_help_transport(const char *name)
{
	const char *slashes = strstr(name, "://");
	size_t i, bytes = slashes ? (size_t)(slashes - name) : 0;

	if (!strcmp(name, "transports")) {
		print_list();
		return true;
	}
	for (i = 0; slashes && shunt_transport_backends[i]; i++) {
		const char *scheme = shunt_transport_backends[i]->scheme;

		if (strlen(scheme) != bytes || strncmp(scheme, name, bytes) != 0)
			continue;
		print_transport(shunt_transport_backends[i]);
		return true;
	}
	return false;
}

void shunt_man_transports(void (*roff)(const char *text))
{
	size_t i;

	printf(".SH TRANSPORTS\nSCHEME://[ADDRESS]:PORT[?KEY=VALUE[&KEY=VALUE]...]\n"
	       ".SS \"all of them\"\n");
	shunt_man_options(shunt_transport_rows, roff);
	for (i = 0; shunt_transport_backends[i]; i++) {
		const struct shunt_transport_ops *ops = shunt_transport_backends[i];

		printf(".SS \"%s://\"\n", ops->scheme);
		roff(ops->help);
		printf(".\n");
		if (ops->options)
			shunt_man_options(ops->options, roff);
	}
}
