"""The frame of a page of the report: head, policy, style, sections with their links. Knows nothing of what they show.

What models wrote is on the pages, and it is hostile: every text from a file is escaped, and the page's own policy
forbids every script but the one in `script.py`, and everything from outside the file.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from prorl.durable import replace_file
from prorl.report.escaping import safe
from prorl.report.script import POLICY, SCRIPT, STATIC_POLICY
from prorl.report.style import STYLE

Section = tuple[str, str, str]
"""Name of the anchor, title, and content; one without content is left out."""


def document(
    title: str, head: str, sections: Sequence[Section], *, kind: str, has_script: bool = False, refresh: int = 0
) -> str:
    """A whole page as HTML. `head` and the contents are HTML, `title` is text.

    `kind` says in the page what it is (`prorl report`). A `refresh` above 0 has a browser read the page again every so
    many seconds.
    """
    present = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{text}</a>' for name, text, _ in present)
    body = "".join(f'<section id="{name}"><h2>{text}</h2>{content}</section>' for name, text, content in present)
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="generator" content="{kind}">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY if has_script else STATIC_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}'
        f"<title>{safe(title)}</title><style>{STYLE}</style></head>"
        f"<body>{head}<nav>{links}</nav>{body}{f'<script>{SCRIPT}</script>' if has_script else ''}</body></html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Write a page at once, also where another process writes the same one: each has a file of its own aside."""
    aside = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    try:
        replace_file(aside, [page.encode()])
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def cards(values: Sequence[tuple[str, str]]) -> str:
    """Numbers at a glance: what each is, and the number as text."""
    body = "".join(f"<div><b>{safe(value)}</b><span>{safe(name)}</span></div>" for name, value in values)
    return f'<div class="cards">{body}</div>'
