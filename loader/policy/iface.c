/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/iface.h"

#include <ctype.h>
#include <string.h>

#include "loader/policy/word.h"

bool shunt_iface_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > SHUNT_IFACE_BYTES || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

bool shunt_iface_read(const struct shunt_node *node, char name[SHUNT_NAME_MAX])
{
	const char *text = shunt_node_string(node, "an interface's name");

	if (!text)
		return false;
	if (!shunt_iface_valid(text)) {
		shunt_node_error(
			node,
			"%s cannot be the name of an interface: that has 1 to %d bytes "
			"without blanks, slashes and colons",
			SHUNT_QUOTE(text), SHUNT_IFACE_BYTES);
		return false;
	}
	memcpy(name, text, strlen(text) + 1);
	return true;
}
