"""Stage 1, data sets: where the files of a source are: in a folder, or on the hub, from which they are downloaded.

Downloads are those of the hub's own client: it tries again, and does not load a file again that is in its cache.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import disable_progress_bars

from prorl.datasets.record import Dataset, Files
from prorl.errors import UserError
from prorl.prompts.tables import table_format

MAX_SHOWN = 10
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")


@dataclass(frozen=True, slots=True)
class Located:
    """Files on this machine, under the names they have in the data set, and the commit they are of."""

    files: tuple[tuple[str, Path], ...]
    revision: str = ""
    """Empty for files that the user brought."""


def local_files(dataset: Dataset, path: Path) -> Located:
    """The file, or those of a folder that the source reads."""
    if path.is_file():
        return Located(((path.name, path),))
    if not path.is_dir():
        raise UserError(f"--from {path}: no such file or folder; put the files of {dataset.name} there")
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    chosen = _chosen(dataset, names, f"--from {path}")
    return Located(tuple((name, path / name) for name in chosen))


def hub_files(dataset: Dataset, revision: str, note: Callable[[str], None]) -> Located:
    """The source's files on the hub at a commit or branch, downloaded."""
    assert isinstance(dataset.origin, Files)
    hub = dataset.origin.hub
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        info = HfApi().dataset_info(hub, revision=_full_commit(hub, revision))
        commit = info.sha or revision
        names = _chosen(dataset, sorted(file.rfilename for file in info.siblings or ()), f"{hub} at {commit[:12]}")
        files = []
        for number, name in enumerate(names, 1):
            note(f"{dataset.name}: file {number} of {len(names)} from the hub ({name})")
            files.append((name, Path(hf_hub_download(hub, name, repo_type="dataset", revision=commit))))
    except GatedRepoError:
        message = f"{hub}: ask for access at https://huggingface.co/datasets/{hub}, then log in with `hf auth login`"
        raise UserError(f"{message}; or give the files with --from PATH") from None
    except RevisionNotFoundError:
        raise UserError(f"{hub}: no revision {revision}; give a commit, branch or tag with --revision") from None
    except RepositoryNotFoundError:
        raise UserError(f"{hub}: not on the hub, or not for you; give the files with --from PATH") from None
    except (OSError, HTTPError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{hub}: cannot be downloaded ({reason}); give the files with --from PATH") from None
    return Located(tuple(files), commit)


def _full_commit(hub: str, revision: str) -> str:
    """The commit that an abbreviation begins; any other revision as it is."""
    if not _SHORT_COMMIT.fullmatch(revision):
        return revision
    commits = HfApi().list_repo_commits(hub, repo_type="dataset")
    return next((commit.commit_id for commit in commits if commit.commit_id.startswith(revision)), revision)


def _chosen(dataset: Dataset, names: Sequence[str], where: str) -> list[str]:
    """The names that the first pattern with any names. UserError: no pattern does."""
    assert isinstance(dataset.origin, Files)
    readable = [name for name in names if table_format(Path(name)) and not Path(name).name.startswith(".")]
    for pattern in dataset.origin.patterns:
        found = [name for name in readable if fnmatch(name, pattern) or fnmatch(Path(name).name, pattern)]
        if found:
            return found
    has = ", ".join(names[:MAX_SHOWN]) + (", ..." if len(names) > MAX_SHOWN else "")
    wanted = " or ".join(dataset.origin.patterns)
    raise UserError(f"{where}: no file of {dataset.name} ({wanted}); it has {has or 'no files'}")
