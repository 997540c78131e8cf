"""A program in the place of a rollout process's: the same way of talking, and commands that go wrong as asked."""

import os
import select
import signal
import sys
import time
from multiprocessing.connection import Connection

from prorl.errors import NoGroups, UserError
from prorl.interrupt import Interrupted

BOOT = (
    "import json, sys; setup = json.loads(sys.argv[1]); sys.path[:] = setup.pop('path'); "
    "from prorl.rewards.server import die_with; die_with(setup.pop('parent')); "
    "from rollout_stand_in import main; main(**setup)"
)


def main(*, channel, given_up, slots):
    link = Connection(channel)
    while True:
        number, name, *arguments = link.recv()
        if name == "close":
            return
        if name == "die":
            os.write(2, b"last words\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "leave":
            sys.exit(7)
        if name == "freeze":
            time.sleep(600)
        if name == "beat":
            while True:
                link.send((0, "alive", None))
                time.sleep(0.02)
        link.send((number, *reply(link, given_up, number, name, arguments)))


def reply(link, given_up, number, name, arguments):
    if name == "no groups":
        return "failed", NoGroups("nothing to learn")
    if name == "wrong":
        return "failed", UserError("data.sources = []: name one")
    if name == "crash":
        os.write(2, b"Traceback: deep in a library\n")
        return "crashed", "KeyError: 3"
    if name == "warn":
        link.send((0, "log", ("prorl.assembly", 30, "slower")))
    if name == "long":  # until it is given up
        link.send((0, "progress", "rollout 64/128"))
        while number not in map(int, os.read(given_up, 100).split()):
            select.select([given_up], [], [])
        return "failed", Interrupted()
    return "done", arguments
