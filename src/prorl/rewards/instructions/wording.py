"""Stage 3, rewards: the IFEval rules about words, counts, letters, case and marks. Knows no language and no layout.

Each rule says whether an answer follows it. Arguments have been read by `arguments.py`; every rule takes time linear in
the answer, whatever it holds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from prorl.rewards.instructions.arguments import LESS_THAN
from prorl.rewards.instructions.segments import num_capital_words, num_sentences, num_words, paragraphs

Rule = Callable[[str, Mapping[str, Any]], bool]

COMMAS = ",\uff0c\u060c\u3001\ufe50\uff64"
"""ASCII, full-width, Arabic, ideographic, small, half-width ideographic."""
CONSTRAINED_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def holds(count: int, relation: str, bound: int) -> bool:
    """Whether `count` is less than, or at least, `bound`."""
    return count < bound if relation == LESS_THAN else count >= bound


def has_keywords(text: str, arguments: Mapping[str, Any]) -> bool:
    """Every keyword occurs, in any case, also inside a longer word."""
    lowered = text.lower()
    return all(keyword.lower() in lowered for keyword in arguments["keywords"])


def has_keyword_frequency(text: str, arguments: Mapping[str, Any]) -> bool:
    """The keyword occurs often, or rarely, enough; in any case, also inside a longer word, without overlap."""
    return holds(num_keyword(text, arguments["keyword"]), arguments["relation"], arguments["frequency"])


def num_keyword(text: str, keyword: str) -> int:
    """Occurrences in any case, without overlap."""
    return text.lower().count(keyword.lower())


def lacks_forbidden_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """No forbidden word occurs as a whole word, in any case."""
    return not any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in arguments["forbidden_words"]
    )


def has_letter_frequency(text: str, arguments: Mapping[str, Any]) -> bool:
    """The letter, or other character, occurs often, or rarely, enough, in any case."""
    return holds(num_keyword(text, arguments["letter"]), arguments["let_relation"], arguments["let_frequency"])


def has_sentences(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are enough, or few enough, sentences."""
    return holds(num_sentences(text), arguments["relation"], arguments["num_sentences"])


def has_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are enough, or few enough, words."""
    return holds(num_words(text), arguments["relation"], arguments["num_words"])


def has_capital_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are enough, or few enough, words in capitals."""
    return holds(num_capital_words(text), arguments["capital_relation"], arguments["capital_frequency"])


def starts_paragraph(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are so many paragraphs between blank lines, and the given one starts with the given word."""
    found = paragraphs(text)
    if len(found) != arguments["num_paragraphs"]:
        return False
    token = found[arguments["nth_paragraph"] - 1].split(maxsplit=1)[0].lstrip("'\"‘“").lower()
    word = arguments["first_word"].lower()
    rest = token[len(word) :]
    return token.startswith(word) and not (rest[:1].isalnum() or rest[:1] in ("-", "_"))


def lacks_commas(text: str, arguments: Mapping[str, Any]) -> bool:
    """No comma of any script."""
    return not any(comma in text for comma in COMMAS)


def repeats_prompt(text: str, arguments: Mapping[str, Any]) -> bool:
    """The prompt stands first, in any case, and something is said after it."""
    prompt, answer = arguments["prompt_to_repeat"].strip().lower(), text.strip().lower()
    return answer.startswith(prompt) and num_words(answer[len(prompt) :]) > 0


def ends_with_phrase(text: str, arguments: Mapping[str, Any]) -> bool:
    """The phrase stands last, in any case; quotation marks around the whole are no part of it."""
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].strip().lower())


def is_quoted(text: str, arguments: Mapping[str, Any]) -> bool:
    """Double quotation marks open and close it, and something stands between."""
    answer = text.strip()
    return len(answer) > 2 and answer[0] == answer[-1] == '"' and bool(answer.strip('" \t\n'))


def is_constrained(text: str, arguments: Mapping[str, Any]) -> bool:
    """Exactly one of the three permitted answers stands in it."""
    return sum(option in text for option in CONSTRAINED_OPTIONS) == 1


WORDING_RULES: dict[str, Rule] = {
    "keywords:existence": has_keywords,
    "keywords:frequency": has_keyword_frequency,
    "keywords:forbidden_words": lacks_forbidden_words,
    "keywords:letter_frequency": has_letter_frequency,
    "length_constraints:number_sentences": has_sentences,
    "length_constraints:number_words": has_words,
    "length_constraints:nth_paragraph_first_word": starts_paragraph,
    "change_case:capital_word_frequency": has_capital_words,
    "punctuation:no_comma": lacks_commas,
    "combination:repeat_prompt": repeats_prompt,
    "startend:end_checker": ends_with_phrase,
    "startend:quotation": is_quoted,
    "detectable_format:constrained_response": is_constrained,
}
