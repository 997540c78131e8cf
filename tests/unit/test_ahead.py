"""Batches ahead of the learner: which weights sample which batch, what is dropped, and that timing decides nothing."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch

from prorl.asynchronous.ahead import AheadPool, RemoteEngine, known_end, staleness
from prorl.asynchronous.shared_weights import open_slot
from prorl.checks import check
from prorl.config import Config, Data, Loss, Rollouts, Run, Source, Train
from prorl.errors import NoGroups, UserError
from prorl.pool import Filled
from prorl.records import Group, Prompt, Rollout

PROMPT = Prompt("p", "d", "t", "1")
NEVER = float("inf")


def rollout(*spans):
    size = sum(count for _, count in spans)
    return Rollout(0, 0, np.zeros(size, np.int64), np.zeros(size, np.float32), "stop", spans)


def filled(*rollouts):
    return Filled((Group(0, PROMPT, (1,), rollouts, ("",) * len(rollouts), ()),), {"rounds": 1}, ())


class FakeProcess:
    """Carries commands out in their order: each as soon as it is asked (`eager`), or not before it is waited for.

    The batch of a step is as many tokens as prompts were drawn before it, sampled with the weights in force.
    """

    is_over = False

    def __init__(self, *, eager=False, without_groups=()):
        self._eager, self._without_groups = eager, set(without_groups)
        self._todo, self._replies, self._number = deque(), {}, 0
        self._position, self._version = 1, -1
        self.asked, self.done, self.forgotten = [], [], []

    def ask(self, command, *arguments):
        self._number += 1
        self.asked.append((command, arguments))
        self._todo.append((self._number, command, arguments))
        if self._eager:
            self._advance(self._number)
        return self._number

    def forget(self, number):
        self.forgotten.append(number)

    def wait(self, number, say):
        self._advance(number)
        reply = self._replies.pop(number)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _advance(self, number):
        while self._todo and self._todo[0][0] <= number:
            own, command, arguments = self._todo.popleft()
            self.done.append((command, *arguments))
            self._replies[own] = self._reply(command, arguments)

    def _reply(self, command, arguments):
        if command == "weights":
            self._version = arguments[2]
        elif command == "restore":
            self._position = arguments[0]["position"]
        elif command == "carry_over":
            self._position = 100 + arguments[0]["position"]
            return {"position": self._position}
        elif command == "fill":
            if arguments[0] in self._without_groups:
                self._without_groups.discard(arguments[0])
                return NoGroups(f"step {arguments[0]}")
            batch = filled(rollout((self._version, self._position)))
            self._position += 1
            return batch, {"position": self._position}
        return None


class Loop:
    """The steps of a run whose update makes version s of the weights in step s."""

    def __init__(self, ahead, *, phase_end=NEVER, train=None, **process):
        self.process = FakeProcess(**process)
        self._slots = [open_slot() for _ in range(max(ahead, 1))]
        self.engine = RemoteEngine(self.process, self._slots)
        self.config = Config(
            rollouts=Rollouts(process=ahead > 0, max_staleness=ahead),
            train=train or Train(steps=1000, checkpoint_every=0),
        )
        self.pool = AheadPool(self.process, self.engine, {"position": 1}, self.config, phase_end, lambda text: None)

    def step(self, number):
        """(position, version) of the step's batch, and its staleness."""
        self.engine.load_weights({"w": torch.zeros(1)}, number - 1)
        batch = self.pool.fill(number, self.config)
        ((version, position),) = batch.groups[0].rollouts[0].versions
        return (position, version), batch.metrics.get("staleness/mean")

    def fills(self):
        return [arguments[0] for command, arguments in self.process.asked if command == "fill"]


def test_synchronous_batches_have_the_weights_of_their_step():
    loop = Loop(0)
    assert [loop.step(number) for number in (1, 2, 3)] == [((1, 0), None), ((2, 1), None), ((3, 2), None)]
    assert loop.fills() == [1, 2, 3]


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    ("ahead", "versions"), [(1, [0, 0, 1, 2, 3, 4]), (2, [0, 0, 0, 1, 2, 3]), (4, [0, 0, 0, 0, 0, 1])]
)
def test_batch_s_has_the_weights_of_before_step_s_minus_the_bound(ahead, versions, eager):
    loop = Loop(ahead, eager=eager)
    found = [loop.step(number) for number in range(1, 7)]
    assert [batch for batch, _ in found] == list(zip(range(1, 7), versions, strict=True))
    # Step s trains weights s - 1.
    assert [stale for _, stale in found] == [number - version for number, version in enumerate(versions)]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_the_commands_do_not_depend_on_when_they_are_carried_out(ahead):
    loops = [Loop(ahead, eager=eager) for eager in (False, True)]
    for loop in loops:
        for number in range(1, 6):
            loop.step(number)
            if number == 3:
                loop.pool.drain()
    assert [command for command, *_ in loops[0].process.done] == [
        command for command, *_ in loops[1].process.done[: len(loops[0].process.done)]
    ]
    assert loops[0].process.asked == loops[1].process.asked


@pytest.mark.parametrize("eager", [False, True])
def test_what_is_drained_is_sampled_again_with_the_weights_of_then(eager):
    loop = Loop(2, eager=eager)
    assert [loop.step(number)[0] for number in (1, 2, 3)] == [(1, 0), (2, 0), (3, 0)]
    assert loop.pool.state_dict() == {"position": 4}
    loop.pool.drain()
    assert loop.process.asked[-1] == ("restore", ({"position": 4},))
    assert [loop.step(number) for number in (4, 5, 6, 7)] == [((4, 3), 0), ((5, 3), 1), ((6, 3), 2), ((7, 4), 2)]


def test_a_drain_with_nothing_ahead_asks_for_nothing():
    loop = Loop(1, train=Train(steps=1000, checkpoint_every=2))
    loop.step(1), loop.step(2)
    before = list(loop.process.asked)
    loop.pool.drain()
    assert loop.process.asked == before


def test_nothing_is_asked_for_beyond_a_checkpoint_a_phase_or_the_run():
    loop = Loop(3, train=Train(steps=9, checkpoint_every=4), phase_end=6)
    asked = []
    for number in range(1, 7):
        loop.step(number)
        asked.append(max(loop.fills()))
    assert asked == [4, 4, 4, 4, 6, 6]


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 10), (10, 10), (11, 15), (15, 15), (16, 20), (21, 25), (26, 28), (28, 28)]
)
def test_the_known_end(step, expected):
    train = Train(steps=100, checkpoint_every=10, boundary_every=15)
    assert known_end(train, 25 if step <= 25 else 28, step) == expected


def test_the_known_end_of_a_run_that_saves_at_its_end_only():
    assert known_end(Train(steps=7, checkpoint_every=0), NEVER, 3) == 7


def test_going_back_drops_what_is_ahead():
    loop = Loop(2)
    loop.step(1)
    state = loop.pool.state_dict()
    loop.step(2)
    loop.pool.load_state_dict(state)
    assert loop.pool.state_dict() == {"position": 2}
    assert loop.step(2) == ((2, 1), 0)


def test_another_phase_goes_on_from_a_position():
    loop = Loop(1)
    loop.pool.carry_over({"position": 7})
    assert loop.pool.state_dict() == {"position": 107}
    assert loop.step(1)[0] == (107, 0)


def test_a_step_without_groups_is_raised_at_its_step_and_not_where_it_was_dropped():
    loop = Loop(1, without_groups=[3])
    loop.step(1), loop.step(2)
    with pytest.raises(NoGroups, match="step 3"):
        loop.step(3)
    dropped = Loop(1, without_groups=[3])
    dropped.step(1), dropped.step(2)
    dropped.pool.drain()
    assert dropped.step(3) == ((3, 2), 0)


def test_a_slot_is_not_written_before_the_weights_in_it_were_loaded():
    loop = Loop(1)
    loop.engine.load_weights({"w": torch.zeros(1)}, 0)
    loop.engine.load_weights({"w": torch.zeros(1)}, 1)
    assert [command[0] for command in loop.process.done] == ["weights"]  # the first, the second is on its way
    two = Loop(2)
    for version in range(2):
        two.engine.load_weights({"w": torch.zeros(1)}, version)
    assert two.process.done == []
    assert [arguments[0] for _, arguments in two.process.asked] == [0, 1]


def test_staleness_by_hand():
    # 3 tokens at 7 - 5 and 1 at 7 - 6; 4 at 7 - 7.
    batch = filled(rollout((5, 3), (6, 1)), rollout((7, 4)))
    assert staleness(batch, 7) == (3 * 2 + 1) / 8
    assert staleness(replace(batch, groups=()), 7) is None


def test_what_the_options_need():
    def run(**options):
        loss = options.pop("correction", "truncated")
        config = Config(
            data=Data(sources=(Source(),)), rollouts=Rollouts(**options), loss=Loss(behaviour_correction=loss)
        )
        return Run(name="r", phases=(config,))

    check(run(process=True))
    check(run(process=True, max_staleness=2))
    with pytest.raises(UserError, match=r"rollouts.max_staleness = 2 needs a process .* rollouts.process = true"):
        check(run(max_staleness=2))
    with pytest.raises(UserError, match=r"rollouts.max_staleness = 2: .* loss.behaviour_correction"):
        check(run(process=True, max_staleness=2, correction="none"))
