"""Why a rank was lost, in one line; without Ray these tests are skipped."""

import pytest

mailbox = pytest.importorskip("prorl.launch.ray_mailbox", reason="Ray is not installed in this environment")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Status check failed:\nThe actor is dead because its worker process has died. Worker exit type: A (1) B",
            "its process died",
        ),
        ("The actor died because its node has died. Node Id: 7", "its node died"),
        ('Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no\n', "ValueError: no"),
        ("", "RuntimeError"),
        ("x" * 500, "x" * 300),
    ],
)
def test_reason(text: str, line: str) -> None:
    assert mailbox.reason(RuntimeError(text)) == line


def test_the_first_ranks_ending_counts_and_an_error_of_any() -> None:
    box = mailbox.Mailbox()
    box.end(1, mailbox.Ending("done"))
    assert box.ending() is None
    box.end(0, mailbox.Ending("interrupted"))
    box.end(1, mailbox.Ending("failed", "too late"))
    assert box.ending() == mailbox.Ending("interrupted")
    other = mailbox.Mailbox()
    other.end(1, mailbox.Ending("refused", "a line"))
    other.end(0, mailbox.Ending("done"))
    assert other.ending() == mailbox.Ending("refused", "a line")


def test_lines_are_taken_once_and_a_restart_is_known() -> None:
    box = mailbox.Mailbox()
    assert (box.begun(), box.take()) == (False, ([], False))
    box.begin()
    box.say("a\n")
    assert box.take() == (["a\n"], True)
    box.lost("rank 1 is lost")
    assert (box.begun(), box.take(), box.take()) == (True, (["rank 1 is lost\n"], False), ([], False))
    assert not box.stopping()
    box.stop()
    assert box.stopping()


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        ({0: "gloo/pair.cc Connection reset", 1: "its worker process has died."}, "rank 1 is lost (its process died)"),
        ({0: "RankFailed: rank 2", 1: "RankFailed: rank 2", 2: "ValueError: no"}, "rank 2 is lost (ValueError: no)"),
        ({1: "gloo: Connection reset"}, "a rank is lost (rank 1 says: gloo: Connection reset)"),
    ],
)
def test_who_failed_first(errors: dict[int, str], line: str) -> None:
    assert mailbox.who_is_lost({rank: RuntimeError(text) for rank, text in errors.items()}) == line
