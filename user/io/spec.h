/* SPDX-License-Identifier: BSD-2-Clause */
/* What a port is called: "af_xdp:eth1,queues=0-1,mode=native", and the options in it. */
#pragma once

/*
 *     SCHEME:DEVICE[,KEY=VALUE]...
 *
 * A backend's options are rows of a table, from which reading, help and errors come. A
 * key that no row has is an error that lists the keys there are; a key may be given once.
 */
#include <stdint.h>

#include "user/base/err.h"

enum shunt_spec_type {
	SHUNT_SPEC_NUMBER, /* uint64_t *; with K, M or G behind it: times 1024 */
	SHUNT_SPEC_CHOICE, /* unsigned int *: the place of the word in `choices` */
	SHUNT_SPEC_SWITCH, /* unsigned int *: "on" 1, "off" 0; the key alone: 1 */
	SHUNT_SPEC_QUEUES, /* uint64_t *: bits; "0", "0-3", "0+2", "all" */
	SHUNT_SPEC_TEXT,   /* char *, of `room` bytes */
};

struct shunt_spec_row {
	const char *key; /* NULL ends the list */
	enum shunt_spec_type type;
	uint64_t min, max;	    /* of a number */
	const char *const *choices; /* of a choice; NULL ends it */
	size_t offset;		    /* of the value, in the struct that is filled */
	size_t room;
	const char *value; /* what its value is called, in the help */
	const char *help;
};

#define SHUNT_SPEC_SCHEME 16
#define SHUNT_SPEC_DEVICE 256

struct shunt_spec {
	char scheme[SHUNT_SPEC_SCHEME];
	char device[SHUNT_SPEC_DEVICE]; /* an interface, a file, … */
	const char *noun;		/* what sentences call it: "port" */
	const char *rest;		/* options, in the caller's text; "" for none */
};

/* Takes the text apart; `text` must outlive the spec. */
SHUNT_MUST_CHECK int shunt_spec_split(struct shunt_spec *spec, const char *text,
				      struct shunt_err *err);

/* Reads the options into `values`, which holds the defaults. */
SHUNT_MUST_CHECK int shunt_spec_read(const struct shunt_spec *spec,
				     const struct shunt_spec_row *rows, void *values,
				     struct shunt_err *err);
