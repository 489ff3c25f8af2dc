# SPDX-License-Identifier: BSD-2-Clause
"""What must not compile: saying something to a peer that hasn't proven itself."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = """
#include "user/transport/conn.h"

int greet(struct shunt_conns *conns, const char *address);

int greet(struct shunt_conns *conns, const char *address)
{
	struct shunt_conn_hello *hello;
	struct shunt_conn *conn;
	struct shunt_err err;
	int ret = shunt_conn_call(conns, &hello, address, &err);

	if (ret)
		return ret;
	%s
}
"""

# Each is sound but for the type of what it is said to.
PROVEN = """ret = shunt_conn_prove(&hello, &conn, &err);
	return ret ? ret : %s;"""
UNPROVEN = "(void)conn; return %s;"
CALLS = [
    'shunt_conn_send(%s, 1, "hello", 5)',
    'shunt_conn_tell(%s, "hello", 5)',
    "shunt_conn_is_idle(%s)",
    "shunt_conn_is_up(%s)",
]

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def compiles(compiler, text):
    """Does it, by the header that users include? And what the compiler said."""
    done = subprocess.run(
        [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-c", "-o", os.devnull,
         "-iquote", ROOT, "-x", "c", "-"],
        input=PROGRAM % text, capture_output=True, text=True, timeout=60)
    return done.returncode == 0, done.stderr


def test_there_is_a_compiler():
    assert COMPILERS


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("call", CALLS)
def test_only_a_proven_peer_is_spoken_to(compiler, call):
    sound, said = compiles(compiler, PROVEN % (call % "conn"))
    assert sound, said
    sound, said = compiles(compiler, UNPROVEN % (call % "hello"))
    assert not sound
    # for that reason, and for no other
    assert "incompatible" in said and "shunt_conn_hello" in said
    assert said.count("error:") == 1, said


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_hello_is_not_forgotten(compiler):
    """Its answer has to be looked at: who ignores it may go on with no connection."""
    sound, said = compiles(compiler, "shunt_conn_prove(&hello, &conn, &err); return 0;")
    assert not sound and ("unused-result" in said or "unused-value" in said), said
