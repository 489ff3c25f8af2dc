/* SPDX-License-Identifier: BSD-2-Clause */
/* help and the manual of ports: made from the table of backends and their options. */
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/io/port.h"

#define OPTIONS_AT 26 /* the column of what an option means */

void shunt_help_options(const struct shunt_spec_row *row)
{
	for (; row->key; row++) {
		/* a switch may stand without a value */
		int width = printf("  %s%s%s", row->key, row->value ? "=" : "",
				   row->value ? row->value : "");

		printf("%*s%s\n", width < OPTIONS_AT ? OPTIONS_AT - width : 2, "",
		       row->help);
	}
}

static void print_port(const struct shunt_port_ops *ops)
{
	printf("port: %s:%s%s\n\n%s.\n", ops->scheme, ops->device,
	       ops->options->key ? "[,KEY=VALUE]..." : "", ops->help);
	if (ops->options->key)
		printf("\n");
	shunt_help_options(ops->options);
}

static void print_list(void)
{
	size_t i;

	printf("A port is SCHEME:DEVICE[,KEY=VALUE]...\n\n");
	for (i = 0; shunt_port_backends[i]; i++) {
		const struct shunt_port_ops *ops = shunt_port_backends[i];
		int width = printf("  %s%s%s:%s", shunt_out_bold(), ops->scheme,
				   shunt_out_plain(), ops->device) -
			    (int)strlen(shunt_out_bold()) -
			    (int)strlen(shunt_out_plain());

		printf("%*s%s\n", width < OPTIONS_AT ? OPTIONS_AT - width : 2, "",
		       ops->help);
	}
	printf("\n`shunt help SCHEME` tells the options of one.\n");
}

bool shunt_help_port(const char *name)
{
	size_t i;

	if (!strcmp(name, "ports")) {
		print_list();
		return true;
	}
	for (i = 0; shunt_port_backends[i]; i++) {
		if (strcmp(shunt_port_backends[i]->scheme, name) != 0)
			continue;
		print_port(shunt_port_backends[i]);
		return true;
	}
	return false;
}

void shunt_man_options(const struct shunt_spec_row *row, void (*roff)(const char *text))
{
	for (; row->key; row++) {
		printf(".TP\n");
		roff(row->key);
		if (row->value) {
			printf("=\\fI");
			roff(row->value);
			printf("\\fR");
		}
		printf("\n");
		roff(row->help);
		printf("\n");
	}
}

void shunt_man_ports(void (*roff)(const char *text))
{
	size_t i;

	printf(".SH PORTS\nSCHEME:DEVICE[,KEY=VALUE]...\n");
	for (i = 0; shunt_port_backends[i]; i++) {
		const struct shunt_port_ops *ops = shunt_port_backends[i];

		printf(".SS \"%s:%s\"\n", ops->scheme, ops->device);
		roff(ops->help);
		printf(".\n");
		shunt_man_options(ops->options, roff);
	}
}
