"""Stage 3, rewards: what a reward function is, and what it may return.

Loads a function by name, calls it in whichever of three signatures it has, and checks its score. It runs where it is
called: the processes, deadlines and memory limits around it are `worker.py` and `verifier.py`.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, SupportsFloat, SupportsIndex, runtime_checkable

from prorl.errors import UserError
from prorl.records import OUTCOMES, Outcome, Prompt, Score

SIGNATURES = (
    "f(prompt, response) -> Score | float",
    "f(prompts, completions, **columns) -> list[float | None] (TRL)",
    "compute_score(data_source, solution_str, ground_truth, extra_info=None) -> float | dict (verl)",
)
MAX_DETAIL = 200


@runtime_checkable
class Verifier(Protocol):
    """Judges one response; the worker around it turns what it raises into the outcome `error`."""

    def __call__(self, prompt: Prompt, response: str) -> Score: ...


@dataclass(frozen=True, slots=True)
class TwoStageVerifier:
    """A verifier that first finds the answer and then judges it, so that equal answers to a problem are judged once.

    `extract` is cheap, whatever the response is; it returns the text of the answer or, where there is none, the score.
    """

    extract: Callable[[Prompt, str], str | Score]
    judge: Callable[[Prompt, str], Score]

    def __call__(self, prompt: Prompt, response: str) -> Score:
        extracted = self.extract(prompt, response)
        return extracted if isinstance(extracted, Score) else self.judge(prompt, extracted)


def load_verifier(spec: str) -> Verifier:
    """The function named `module:function` or `path/to/file.py:function`, behind the `Verifier` protocol.

    Raises UserError for a name or signature it cannot use, and whatever importing the module raises.
    """
    module_name, colon, name = spec.rpartition(":")
    if not (module_name and colon and name):
        raise UserError(f"{spec!r}: must be module:function or path/to/file.py:function")
    module = _load_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
    if name not in vars(module):
        raise UserError(f"{spec!r}: {module_name} has no {name!r}")
    function = vars(module)[name]
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise UserError(f"{spec!r}: must be a plain (not async) function with one of: {'; '.join(SIGNATURES)}")
    return _adapt(spec, function)


def as_score(value: object) -> Score:
    """What a reward function returned, as a Score; what is none becomes the outcome `error`, never another value."""
    if value is None:
        return fault("no score")
    if isinstance(value, Score):
        if value.outcome not in OUTCOMES or not isinstance(value.detail, str):
            return fault(f"malformed Score: outcome {value.outcome!r}, detail of type {type(value.detail).__name__}")
        outcome, detail = value.outcome, clean(value.detail)
        value = value.value
    else:
        outcome, detail = None, ""
    if not isinstance(value, SupportsFloat | SupportsIndex):
        return fault(f"the score is of type {type(value).__name__}, not a number")
    number = float(value)
    if not 0.0 <= number <= 1.0:
        return fault(f"score {number} is outside [0, 1]")
    return Score(number, outcome or _outcome(number), detail)


def fault(detail: str) -> Score:
    """The verifier's own failure: never trained on."""
    return Score(0.0, "error", clean(detail))


def describe(error: BaseException) -> str:
    """`Type: message`, also of an exception that cannot say what it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - `__str__` is the user's code
        return type(error).__name__


def clean(text: str, limit: int = MAX_DETAIL) -> str:
    """One line of valid Unicode without control characters, at most `limit` characters."""
    encodable = text[:limit].encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else " " for char in encodable)[:limit]


def _outcome(value: float) -> Outcome:
    if value == 1.0:
        return "correct"
    return "wrong" if value == 0.0 else "partial"


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"no file {str(path)!r} in {str(Path.cwd())!r}; give an existing path/to/file.py:function")
    sys.path.append(str(path.resolve().parent))
    name = f"prorl_reward_file_{path.stem}"  # a file `json.py` must not replace the module `json`
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _adapt(spec: str, function: Callable[..., Any]) -> Verifier:
    """Tell the signature by the names of its parameters."""
    if isinstance(function, TwoStageVerifier):
        return function
    parameters = inspect.signature(function).parameters
    if {"prompt", "response"} <= set(parameters):
        return lambda prompt, response: as_score(function(prompt=prompt, response=response))
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    def accepted(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if takes_all or name in parameters}

    if {"solution_str", "ground_truth"} <= set(parameters):
        return lambda prompt, response: _score_verl(function(**accepted(_verl_arguments(prompt, response))))
    if "completions" in parameters:
        return lambda prompt, response: _score_trl(function(**accepted(_trl_arguments(prompt, response))))
    raise UserError(f"{spec!r} takes ({', '.join(parameters)}): must be one of: {'; '.join(SIGNATURES)}")


def _verl_arguments(prompt: Prompt, response: str) -> dict[str, Any]:
    return {
        "data_source": prompt.metadata.get("data_source", prompt.domain),
        "solution_str": response,
        "ground_truth": prompt.answer,
        "extra_info": dict(prompt.metadata),
    }


def _score_verl(result: object) -> Score:
    if isinstance(result, Mapping):
        return as_score(result["score"]) if "score" in result else fault("the returned dict has no 'score'")
    return as_score(result)


def _trl_arguments(prompt: Prompt, response: str) -> dict[str, Any]:
    """One prompt and completion a call, so that each answer has its own deadline; every column is a list of one."""
    columns = {name: [value] for name, value in prompt.metadata.items()}
    if isinstance(prompt.content, str):
        return columns | {"answer": [prompt.answer], "prompts": [prompt.content], "completions": [response]}
    messages = [dict(message) for message in prompt.content]
    completion = [{"role": "assistant", "content": response}]
    return columns | {"answer": [prompt.answer], "prompts": [messages], "completions": [completion]}


def _score_trl(result: object) -> Score:
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        return fault(f"returned {type(result).__name__}, not a list with one score a completion")
    if len(result) != 1:
        return fault(f"returned {len(result)} scores for 1 completion")
    return as_score(result[0])
