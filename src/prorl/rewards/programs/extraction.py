"""Stage 3, rewards: the program in a response. Finds it in linear time; neither compiles nor runs it."""

from prorl.records import Prompt, Score
from prorl.rewards.answers import FENCE, fenced_blocks, final_text

MAX_SOURCE_CHARACTERS = 64 * 1024
PYTHON_LABELS = ("python", "py", "python3")


def strict_program(prompt: Prompt, response: str) -> str | Score:
    """The last block marked as Python; without one, the last unmarked block."""
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ends")
    source = _python_block(fenced_blocks(text))
    return Score(0.0, "unparsable", "no fenced block of Python") if source is None else _checked(source)


def tolerant_program(prompt: Prompt, response: str) -> str | Score:
    """As `strict_program`; else the last block whatever its mark, closed or not; without a fence the whole text."""
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ends")
    blocks = fenced_blocks(text)
    source = _python_block(blocks)
    if source is None and blocks:
        source = blocks[-1][1]
    if source is None:
        _, fence, after = text.rpartition(FENCE)
        source = after.partition("\n")[2] if fence else text
    return _checked(source)


def _python_block(blocks: list[tuple[str, str]]) -> str | None:
    """A sample of the output often follows the program in an unmarked block, so those that are marked go first."""
    marked = [content for label, content in blocks if label in PYTHON_LABELS]
    unmarked = [content for label, content in blocks if not label]
    return next(reversed(marked or unmarked), None)


def _checked(source: str) -> str | Score:
    if len(source) > MAX_SOURCE_CHARACTERS:
        return Score(0.0, "unparsable", f"a program of {len(source)} characters, over {MAX_SOURCE_CHARACTERS}")
    if not source.strip():
        return Score(0.0, "unparsable", "the program is empty")
    return source
