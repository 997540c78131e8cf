"""Write `docs/options.md` from `src/prorl/config.py`: run it after a change of an option."""

import itertools
from pathlib import Path

from prorl.recipe import option_rows

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
ESCAPED_BAR = r"\|"
HEAD = """\
# Options

Written by `scripts/write_options.py` from `src/prorl/config.py`; change that file, not this page.

A recipe is a TOML file whose tables are the sections below. An option that is left out keeps its default. Three keys
stand above the sections:

- `name`: of the run; the file name where it is left out.
- `extends = "other"`: another recipe, relative to the file or packaged, whose options this one starts from.
- `phases = [{recipe = "first", steps = 300}, {steps = 200, loss = {clip_high = 0.28}}]`: phases in order. Each may name
  a recipe, its steps, a name, and sections of its own.

What comes later in this line is in force: defaults, `extends`, the recipe, a phase's recipe, the phase itself, and
`--set section.option=value` over every phase. Tables such as `data.domain_weights` merge (`{}` empties one), everything
else replaces. `model`, `train` and `cluster` belong to the whole run and must be the same in all phases. A run folder's
`config.toml` is such a recipe, with every option written out.
"""


def page() -> str:
    """The whole page: a table a section."""
    lines = [HEAD.rstrip()]
    for section, rows in itertools.groupby(option_rows(), lambda row: row.key.partition(".")[0]):
        lines += ["", f"## {section}", "", "| option | type | default | allowed | meaning |", "|---|---|---|---|---|"]
        for row in rows:
            cells = (f"`{row.key}`", row.type, f"`{row.default}`", row.allowed, row.doc)
            lines.append(f"| {' | '.join(cell.replace('|', ESCAPED_BAR) for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
