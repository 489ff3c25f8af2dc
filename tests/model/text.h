/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies as string literals, in short. */
#pragma once

/*
 *     POLICY(PASSING, RULES(RULE("web", "\"dport\":80", "\"drop\"")))
 */
#define POLICY(defaults, rest) "{\"schema\":\"shunt.policy/1\"," defaults "," rest "}"
#define PASSING "\"default\":\"pass\""
#define DROPPING "\"default\":\"drop\""
#define RULES(rules) "\"rules\":[" rules "]"
#define RULE(name, match, action)                                                      \
	"{\"name\":\"" name "\",\"match\":{" match "},\"action\":" action "}"
