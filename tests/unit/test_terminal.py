"""The progress line on a screen of given width, in a log, and the summary."""

import io
from pathlib import Path

import pytest

from prorl.terminal import Progress, compact, duration, summary

METRICS = {
    "score/mean": 0.4125,
    "score/math": 0.25,
    "score/instruction": 0.75,
    "groups/drawn": 40,
    "groups/kept": 25,
    "entropy": 0.512,
    "kl/reference": 0.0123,
    "response_length/mean": 23.4,
    "tokens/generated": 24690,
    "seconds/step": 2.0,
}


class Screen(io.StringIO):
    """A terminal: what is on it after carriage returns, and the longest line ever written."""

    def __init__(self, is_terminal: bool = True) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def lines(self) -> list[str]:
        shown = []
        for line in self.getvalue().split("\n"):
            cells: list[str] = []
            for part in line.split("\r"):
                cells[: len(part)] = part
            shown.append("".join(cells).rstrip())
        return shown

    def longest(self) -> int:
        return max(len(part) for part in self.getvalue().replace("\n", "\r").split("\r"))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_live_line_is_rewritten_and_leaves_nothing_behind(clock: Clock) -> None:
    screen = Screen()
    progress = Progress(screen, 300, clock, lambda: 200)
    progress.status("rollout 312/512")
    progress.status("verify")
    assert screen.lines() == ["step 1/300  verify"]
    clock.now = 2.0
    progress.step(1, METRICS)
    line = (
        "step   1/300  score 0.412  (inst 0.75 math 0.25)  kept 62%  entropy 0.51  kl 0.012  len 23  12.3k tok/s  "
        "2.00 s/step  eta 9m58s"
    )
    assert screen.lines() == [line, ""]
    progress.status("update 3/4")
    assert screen.lines() == [line, "step 2/300  update 3/4  score 0.412  eta 9m58s"]
    progress.note("reset at step 1")
    progress.close()
    assert screen.lines() == [line, "reset at step 1", ""]


def test_time_left_is_of_the_last_twenty_steps(clock: Clock) -> None:
    screen = Screen(is_terminal=False)
    progress = Progress(screen, 100, clock, start=40)
    for step in range(41, 71):  # Ten steps of 100 s, then twenty of 6 s: 30 left are 180 s.
        clock.now += 100 if step <= 50 else 6
        progress.step(step, {"score/mean": 0.5})
    assert screen.lines()[-2] == "step  70/100  score 0.500  eta 3m00s"


@pytest.mark.parametrize("width", [0, 1, 2, 10, 20, 40, 60, 80, 100, 140])
def test_nothing_is_wider_than_the_screen(clock: Clock, width: int) -> None:
    screen = Screen()
    progress = Progress(screen, 300, clock, lambda: width)
    for step in range(1, 4):
        progress.status("rollout 312/512")
        clock.now += 3
        progress.step(step, METRICS)
    progress.close()
    assert screen.longest() <= max(width - 1, 0)


def test_a_narrow_screen_keeps_what_matters_most(clock: Clock) -> None:
    screen = Screen()
    clock.now = 0
    progress = Progress(screen, 300, clock, lambda: 55)
    clock.now = 2
    progress.step(1, {**METRICS, "validation/mean": 0.5})
    assert screen.lines()[0] == "step   1/300  score 0.412  validation 0.500  eta 9m58s"


def test_a_log_has_no_control_characters_and_a_line_every_five_seconds(clock: Clock) -> None:
    log = Screen(is_terminal=False)
    progress = Progress(log, 20, clock, lambda: 40)
    for step in range(1, 21):
        progress.status("rollout 1/2")
        clock.now += 1
        progress.step(step, {"score/mean": 0.5, "validation/mean": 0.25} if step == 8 else {"score/mean": 0.5})
        if step == 10:
            progress.note("reset: stagnation")
    progress.close()
    lines = log.getvalue().splitlines()
    # The first, 5 s later, the validation, step 10 for its reset's sake, 5 s later, and the last.
    steps = ["1/20", "6/20", "8/20", "10/20", "reset:", "15/20", "20/20"]
    assert [line.split()[1] if line.startswith("step") else line.split()[0] for line in lines] == steps
    assert "\r" not in log.getvalue()
    assert lines[2] == "step  8/20  score 0.500  validation 0.250  eta 12s"


def test_a_log_of_slow_steps_is_not_silent_and_a_last_step_is_not_lost(clock: Clock) -> None:
    log = Screen(is_terminal=False)
    progress = Progress(log, 20, clock)
    for second in range(130):
        clock.now = float(second)
        progress.status(f"rollout {second}/512")
    progress.step(1, {})
    clock.now += 1
    progress.step(2, {"score/mean": 1.0})
    progress.close()
    assert log.getvalue().splitlines() == [
        "step 1/20  rollout 60/512",
        "step 1/20  rollout 120/512",
        "step  1/20  eta 40m51s",
        "step  2/20  score 1.000  eta 19m30s",
    ]


def test_names_from_the_data_do_not_steer_the_terminal(clock: Clock) -> None:
    screen = Screen()
    progress = Progress(screen, 2, clock)
    progress.note("task \x1b[2J\u202e\u00e9 done")
    progress.step(1, {"score/mean": 0.0, "score/\x1b]0": 1.0})
    progress.close()
    assert screen.getvalue().isascii()
    assert "\x1b" not in screen.getvalue()
    assert screen.lines()[0] == "task ?[2J?? done"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (1000, "1.00k"), (12345, "12.3k"), (456_000, "456k"), (4.56e6, "4.56M")],
)
def test_compact(number: float, text: str) -> None:
    assert compact(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (166, "2m46s"),
        (3 * 3600 + 125, "3h02m"),
        (2 * 86400 + 4 * 3600, "2d04h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_summary(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "boundary.json").touch()
    records = [
        {"step": step, "score/mean": 0.1, "tokens/generated": 1000, "seconds/step": 0.5} | validation
        for step, validation in (
            (1, {"validation/mean": 0.25, "validation/math": 0.5, "validation/add/1": 1.0}),
            (2, {"validation/mean": 0.75, "validation/math": 0.5, "validation/add/1": 1.0}),
            (3, {"validation/mean": 0.5, "validation/math": 0.625, "validation/logic": 0.125}),
            (4, {}),
        )
    ]
    events = [
        {"step": 2, "event": "reset", "trigger": "stagnation", "optimizer": "clear", "best_score": 0.75, "kl": 0.01},
        {"step": 3, "event": "timeout", "prompt": "x"},
        {"step": 3, "event": "phase", "from": 0, "to": 1, "reason": "steps"},
    ]
    text = summary(
        tmp_path,
        records,
        events,
        total_steps=5,
        boundary="2 of 9 levels expanded",
        commands=["prorl report RUN", "prorl reset RUN"],
    )
    assert (
        text
        == f"""
steps       4 of 5 in 2s, 4.00k tokens (2.00k/s)
validation         first (1)      best (2)      last (3)
  mean                 0.250         0.750         0.500
  logic                                            0.125
  math                 0.500         0.500         0.625
resets
  step 2: stagnation, best_score 0.75, kl 0.01
phases
  step 3: from 0, to 1, steps
timeouts    1
boundary    2 of 9 levels expanded
files       {tmp_path}: metrics.jsonl, boundary.json
next        prorl report RUN
            prorl reset RUN
"""
    )


def test_summary_of_a_run_that_did_nothing(tmp_path: Path) -> None:
    assert summary(tmp_path, [], [], total_steps=5) == f"\nsteps       0 of 5 in 0s, 0 tokens\nfiles       {tmp_path}\n"


def test_summary_folds_many_resets(tmp_path: Path) -> None:
    events = [{"step": step, "event": "reset", "trigger": "interval"} for step in range(10, 80, 10)]
    lines = summary(tmp_path, [], events, total_steps=5).splitlines()
    assert lines[2:8] == ["resets (the last 5 of 7)", *(f"  step {step}: interval" for step in range(30, 80, 10))]
