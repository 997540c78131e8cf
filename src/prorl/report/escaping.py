"""Text from a file or a model -> text of the page: it can neither leave its place nor hide what it says."""

from html import escape


def safe(text: str) -> str:
    """Escaped for HTML, with invisible characters written out: controls, and those that reverse or hide others."""
    return escape("".join(character if _is_shown(character) else _code(character) for character in text))


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in "\n\t"


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()
