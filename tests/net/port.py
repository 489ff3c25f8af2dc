# SPDX-License-Identifier: BSD-2-Clause
"""Ports, driven by hand: build/tests/net/port (port.c says what it understands)."""
import json
import os
import select
import signal
import subprocess

import shunt as sh

PROGRAM = os.path.join(os.path.dirname(sh.BINARY), "tests/net/port")


class Failed(Exception):
    """A command failed: its sentence, and -errno."""

    def __init__(self, sentence, code):
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


class Ports:
    """A process with ports in a namespace (None: that of the tests)."""

    def __init__(self, ns=None, program=PROGRAM, **env):
        argv = ns.argv(program) if ns else [program]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True,
                                      env={**os.environ, **env})

    def __call__(self, *words):
        """What a command answers; Failed if it does not succeed."""
        self.say(*words)
        return self.answer()

    def say(self, *words):
        print(*words, file=self.popen.stdin, flush=True)

    def has_answered(self, seconds=0.001):
        return bool(select.select([self.popen.stdout], [], [], seconds)[0])

    def answer(self):
        line = self.popen.stdout.readline()
        assert line, ("the process ended", self.popen.wait(60), self.popen.stderr.read())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"], answer["code"])
        return answer

    def open(self, text, pool=None):
        return self("open", text, *([] if pool is None else [pool]))["port"]

    def refused(self, text):
        """A port that does not open: (sentence, -errno)."""
        try:
            self.open(text)
        except Failed as failed:
            return failed.sentence, failed.code
        raise AssertionError("%s opened" % text)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.popen.pid))

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(60)

    def close(self):
        """Ends it: what it has written on stderr."""
        if self.popen.poll() is None:
            self.popen.stdin.close()
        try:
            self.popen.wait(20)
        finally:
            self.popen.kill()
        words = self.popen.stderr.read()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            pipe.close()
        return words

    def __enter__(self):
        return self

    def __exit__(self, kind, *why):
        words = self.close()
        assert kind or not words, words
        assert kind or self.popen.returncode in (0, -signal.SIGKILL), self.popen.returncode
