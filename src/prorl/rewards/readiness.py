"""Stage 3, rewards: whether prompts can be judged on this machine, found out before a run begins. Judges nothing."""

from collections.abc import Iterable, Mapping

from prorl.errors import UserError
from prorl.records import Prompt
from prorl.rewards.rows import ROW_CHECKS, verifier_name
from prorl.rewards.sandbox.interface import SandboxUnavailable
from prorl.rewards.sandbox.selection import open_sandbox
from prorl.rewards.verifier import VERIFIERS


def needed_verifiers(prompts: Iterable[Prompt], functions: Mapping[str, str]) -> list[str]:
    """Built-in verifiers of these prompts, without the domains that `functions` judge; sorted."""
    names = {verifier_name(prompt) for prompt in prompts if prompt.domain not in functions}
    return sorted(names & VERIFIERS.keys())


def check_rows(prompts: Iterable[Prompt], functions: Mapping[str, str]) -> None:
    """Refuse a row that its built-in verifier could never judge. UserError names it."""
    for prompt in prompts:
        name = verifier_name(prompt)
        if prompt.domain in functions or name not in ROW_CHECKS:
            continue
        try:
            ROW_CHECKS[name](prompt)
        except ValueError as error:
            raise UserError(
                f"data.sources: row {prompt.id}: the {name} verifier cannot judge it: {error}; mend or remove the row"
            ) from None


def require_sandbox(choice: str) -> None:
    """Refuse to run programs where they could not be contained."""
    try:
        open_sandbox(choice)
    except SandboxUnavailable as error:
        raise UserError(f"reward.sandbox = {choice}: {error}") from None
