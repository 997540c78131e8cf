"""Weights & Biases, where `train.wandb` names a project: the records of a run over there, beside its own files.

The only module that imports `wandb`; `metrics.py` loads it where it is asked for. A training neither waits long for a
server nor ends because of one: what fails is said once, and the files of the run have everything anyway.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import wandb
from wandb import Settings
from wandb.errors import UsageError

from prorl.errors import UserError

Number = int | float
Mode = Literal["online", "offline", "shared", "disabled", "dryrun", "run"]

OFFLINE_MODES = ("offline", "dryrun", "disabled")
INIT_SECONDS, FINISH_SECONDS = 30.0, 60.0
"""How long the beginning and the end of a run wait for the server."""
ID_FILE = "wandb_id"
NO_MORE = "nothing more is logged there"


def refuse_unready(project: str) -> None:
    """UserError where W&B cannot take a run: a project name that it refuses, or no login. Asks no server."""
    try:
        Settings(project=project)
    except UsageError as error:
        raise UserError(f"train.wandb = {project!r}: {error}; choose another name, or none to log nowhere") from None
    settings = wandb.setup().settings
    if settings.mode not in OFFLINE_MODES and not (wandb.api.api_key or settings.identity_token_file):
        raise UserError(
            f"train.wandb = {project!r}: not logged in to Weights & Biases; run `wandb login`, set WANDB_API_KEY, "
            "or record on the disk only with WANDB_MODE=offline"
        )


class WandbMirror:
    """The W&B run that stands for a run folder; a resumed run goes on in it.

    `config` is the recipe, `past` the events of the steps that are kept, `note` prints a line for the user.
    """

    def __init__(
        self,
        project: str,
        folder: Path,
        config: Mapping[str, Any],
        past: Sequence[Mapping[str, Any]],
        *,
        resumed: bool,
        note: Callable[[str], None],
    ) -> None:
        self._note, self._by_hand = note, ""
        self._run: Any = None
        self._num_events = Counter(str(event["event"]) for event in past)
        identity = _identity(folder, resumed)
        mode: Mode = wandb.setup().settings.mode
        with self._guarded("going on as with WANDB_MODE=offline"):
            self._run = _begin(project, folder, config, identity, mode)
        if self._run is None and mode not in OFFLINE_MODES:
            mode = "offline"
            with self._guarded(NO_MORE):
                self._run = _begin(project, folder, config, identity, mode)
        if self._run is not None and mode != "disabled":
            self._by_hand = f"wandb sync {folder / 'wandb' / Path(self._run.dir).parent.name}"
            note(f"wandb: {f'offline; `{self._by_hand}` uploads it' if mode in OFFLINE_MODES else self._run.url}")

    def write(self, step: int, metrics: Mapping[str, Number]) -> None:
        """One step under the names of `metrics.jsonl`. W&B drops what it has already of a step that is done again."""
        if self._run is not None:
            with self._guarded(NO_MORE):
                self._run.log(dict(metrics), step=step)

    def event(self, event: Mapping[str, Any]) -> None:
        """Events so far by kind, as a curve; the last one of each kind with its numbers in the summary."""
        kind = str(event["event"])
        self._num_events[kind] += 1
        self.write(event["step"], {f"events/{kind}": self._num_events[kind]})
        if self._run is not None:
            with self._guarded(NO_MORE):
                self._run.summary[f"last_{kind}"] = {name: value for name, value in event.items() if name != "event"}

    def close(self, *, failed: bool) -> None:
        """End the W&B run; what has not been uploaded by then stays on the disk."""
        if self._run is not None:
            with self._guarded("what is missing there stays on the disk"):
                self._run.finish(exit_code=int(failed))
        self._run = None

    @contextmanager
    def _guarded(self, consequence: str) -> Iterator[None]:
        """An error of W&B ends the mirror and not the training."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - boundary: what this client may raise is written down nowhere
            reason = " ".join(str(error).split()) or type(error).__name__
            upload = f"; `{self._by_hand}` uploads what was recorded" if self._by_hand else ""
            self._note(f"wandb: {reason}; {consequence}{upload}")
            self._run = None
            with suppress(Exception):
                wandb.teardown()  # or its end-of-process hook would fail in the same way, with a traceback


def _begin(project: str, folder: Path, config: Mapping[str, Any], identity: str, mode: Mode) -> Any:
    """Open the W&B run of an id, with its files in the run folder."""
    settings = Settings(
        mode=mode,
        console="off",  # the terminal's live line is not a log
        silent=True,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )
    return wandb.init(
        project=project,
        name=folder.resolve().name,
        id=identity,
        resume=None if mode in OFFLINE_MODES else "allow",  # offline, parts of one id come together on upload
        dir=str(folder),
        config=dict(config),
        allow_val_change=True,
        settings=settings,
    )


def _identity(folder: Path, resumed: bool) -> str:
    """The id of the folder's W&B run: kept for `--resume`, new for a run that begins."""
    path = folder / ID_FILE
    if resumed and path.exists():
        return path.read_text(encoding="utf-8").strip()
    identity = secrets.token_hex(4)
    path.write_text(identity + "\n", encoding="utf-8")
    return identity
