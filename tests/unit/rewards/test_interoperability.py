"""The built-in verifiers behind the signatures of TRL, verl and `verifiers`, from any thread."""

import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from prorl.errors import UserError
from prorl.prompts.mini import make_prompt
from prorl.rewards.interoperability import SharedPool, compute_score, rubric_reward, trl_reward

MINI = make_prompt("add", 3, 0)
EXTRA = {"domain": "mini", **MINI.metadata}


def test_compute_score_takes_the_domain_from_the_extra_info_or_the_source() -> None:
    right = {"score": 1.0, "outcome": "correct", "detail": ""}
    assert compute_score("anything", MINI.answer, MINI.answer, EXTRA) == right
    assert compute_score("mini", MINI.answer, MINI.answer, dict(MINI.metadata)) == right
    assert compute_score("mini", "nonsense", MINI.answer, dict(MINI.metadata))["score"] == 0.0


def test_a_verifiers_own_failure_is_no_score() -> None:
    with pytest.raises(RuntimeError, match=r"the mini verifier failed: metadata\.task must be one of"):
        compute_score("mini", "x", "y", {})
    assert trl_reward("mini")(
        completions=["x", MINI.answer], answer=["y", MINI.answer], metadata=[{}, MINI.metadata]
    ) == [
        None,
        1.0,
    ]
    with pytest.raises(RuntimeError, match="the mini verifier failed"):
        rubric_reward("mini")("x", "y")


def test_trl_takes_texts_and_chats() -> None:
    reward = trl_reward("mini")
    chat = [{"role": "assistant", "content": MINI.answer}]
    columns = {"answer": [MINI.answer] * 3, "metadata": [dict(MINI.metadata)] * 3, "prompts": ["p"] * 3}
    assert reward(completions=[MINI.answer, "no", chat], **columns) == [1.0, 0.0, 1.0]
    assert reward.__name__ == "prorl_mini"


def test_a_rubric_reads_answer_and_info() -> None:
    reward = rubric_reward("mini")
    completion = [{"role": "assistant", "content": MINI.answer}]
    assert reward(completion=completion, answer=MINI.answer, info=dict(MINI.metadata), state={}) == 1.0


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(UserError, match="domain chess: must be one of math, code"):
        trl_reward("chess")
    with pytest.raises(UserError, match="domain gsm8k: must be one of math, code"):
        compute_score("gsm8k", "x", "y")


def test_many_threads_share_the_processes() -> None:
    texts = [MINI.answer if number % 3 else "no" for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda text: compute_score("mini", text, MINI.answer, EXTRA)["score"], texts))
    assert results == [float(bool(number % 3)) for number in range(60)]


def test_a_program_that_used_them_ends() -> None:
    program = (
        "from prorl.rewards.interoperability import compute_score as f\nprint(f('mini', 'x', 'k1', {'task': 'add'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "'score': 0.0" in done.stdout


def test_exported_rows_are_judged_by_verl_too() -> None:
    # `prorl data export --to verl` writes the metadata as JSON text: a table has one schema.
    extra = {"split": "train", "domain": "mini", "metadata": json.dumps(dict(MINI.metadata))}
    assert compute_score("mini", MINI.answer, MINI.answer, extra)["score"] == 1.0
    assert compute_score("mini", "no", MINI.answer, extra)["score"] == 0.0


@pytest.mark.parametrize(
    ("response", "extra"), [(None, {}), ("x", {"f": lambda: 0}), ("x", {"lock": threading.Lock()})]
)
def test_a_call_that_cannot_be_sent_fails_alone(response: object, extra: dict[str, object]) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        compute_score("mini", response, MINI.answer, {**EXTRA, **extra})  # type: ignore[arg-type]
    assert compute_score("mini", MINI.answer, MINI.answer, EXTRA)["score"] == 1.0


@pytest.mark.parametrize("value", ["0", "-3", "x"])
def test_a_wrong_number_of_processes_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRORL_WORKERS", value)
    monkeypatch.setattr(SharedPool, "_current", None)
    with pytest.raises(UserError, match=f"PRORL_WORKERS={value}: must be a whole number of at least 1"):
        compute_score("mini", "x", "y", EXTRA)


def test_a_closed_pool_says_so() -> None:
    pool = SharedPool(workers=1)
    pool.close()
    with pytest.raises(RuntimeError, match="the verifier processes were closed"):
        pool.submit(MINI, ["x"]).result(timeout=10)
