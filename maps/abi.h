/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number that says whether a pinned map may be understood. */
#pragma once

/*
 * Raise it with every change to a header in maps/ that alters a layout or a meaning.
 * It is stored in the instance's state record; a record with another number is
 * refused, never reinterpreted.
 */
#define SHUNT_ABI 4
