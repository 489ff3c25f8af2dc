# SPDX-License-Identifier: BSD-2-Clause
"""Connections as users write them: what must not compile, and the program of the page."""
import os
import shutil
import socket
import subprocess

import pytest
import shunt as sh

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


# --- the program of docs/connections.md ---------------------------------------------------------

def program():
    with open(os.path.join(ROOT, "docs/connections.md"), encoding="utf-8") as page:
        return page.read().split("```c\n", 1)[1].split("```", 1)[0]


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """It is built as a user would, and the key is made as the page says."""
    folder = tmp_path_factory.mktemp("hello")
    (folder / "hello.c").write_text(program(), encoding="utf-8")
    build = os.path.dirname(os.path.abspath(sh.BINARY))
    libraries = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libbpf", "libxdp", "libcjson", "libpcap", "libxxhash",
         "liburing", "libsodium"], capture_output=True, text=True, check=True).stdout.split()
    flags = ["-fsanitize=address,undefined"] if "/san" in build else []
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", *flags, str(folder / "hello.c"), "-iquote", ROOT,
         os.path.join(build, "libshunt.a"), *libraries, "-lelf", "-lz", "-ldl", "-lm", "-lpthread",
         "-o", str(folder / "hello")], check=True, timeout=120)
    key = folder / "psk"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    return str(folder / "hello"), str(key)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_the_program_of_the_page(hello, proto):
    path, key = hello
    address = "127.0.0.1:%d" % free_port()
    call = [path, key, "epoll://127.0.0.1:0?proto=" + proto, address]
    server = subprocess.Popen([path, key, "epoll://%s?proto=%s" % (address, proto)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # a stream is refused until somebody listens there
        sh.wait(lambda: "well met\n" == subprocess.run(
            call, capture_output=True, text=True, timeout=30, check=False).stdout, "an answer")
        said, told = server.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
    assert said == "hello\n"
    assert "has called" in told


def test_another_key_is_not_let_in(hello, tmp_path):
    path, key = hello
    other = tmp_path / "other"
    other.write_bytes(os.urandom(32))
    other.chmod(0o600)
    address = "127.0.0.1:%d" % free_port()
    server = subprocess.Popen([path, key, "epoll://" + address], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    try:
        done = subprocess.run([path, str(other), "epoll://127.0.0.1:0", address],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "same key" in done.stderr, done.stderr
        other.chmod(0o644)
        done = subprocess.run([path, str(other), "epoll://127.0.0.1:0", address],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "chmod 600" in done.stderr, done.stderr
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()
