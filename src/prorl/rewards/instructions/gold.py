"""Stage 3, rewards: builds a text that follows a row's instructions, where they do not exclude one another.

Marks, lists and keywords come first, then filler until the counts are reached. The language rules are met by writing
in that language; all others are checked at the end, so that a text that fails is never given. Random nowhere.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from prorl.rewards.instructions.arguments import AT_LEAST, LESS_THAN, Instruction
from prorl.rewards.instructions.fillers import SENTENCES
from prorl.rewards.instructions.layout import (
    LAYOUT_RULES,
    PARAGRAPH_MARK,
    RESPONSE_MARK,
    num_bullets,
    num_highlights,
    num_placeholders,
    num_sections,
)
from prorl.rewards.instructions.segments import num_capital_words, num_sentences, num_words
from prorl.rewards.instructions.wording import CONSTRAINED_OPTIONS, WORDING_RULES, num_keyword

MAX_BUILT_COUNT = 2000
"""Rows that ask for more of something get no gold response."""
MIN_WORDS = 25
"""Of filler, in a text whose language matters."""
_CHECKS = WORDING_RULES | LAYOUT_RULES
_CAPITALS = ("OK", "USA", "TV", "UP")
_ENGLISH_RULES = {"change_case:english_capital": str.isupper, "change_case:english_lowercase": str.islower}
_LANGUAGE_RULES = ("language:response_language", *_ENGLISH_RULES)

Asked = Mapping[str, Sequence[Mapping[str, Any]]]


def build_response(instructions: Sequence[Instruction]) -> str | None:
    """A text that follows every instruction, or None."""
    asked: dict[str, list[Mapping[str, Any]]] = {}
    for instruction in instructions:
        asked.setdefault(instruction.rule, []).append(instruction.arguments)
    counts = [value for given in instructions for value in given.arguments.values() if isinstance(value, int)]
    languages = {given["language"] for given in asked.get("language:response_language", ())}
    languages |= {"en" for rule in _ENGLISH_RULES if rule in asked}
    language = min(languages, default="en")
    if len(languages) > 1 or language not in SENTENCES or max(counts, default=0) > MAX_BUILT_COUNT:
        return None
    text = _Draft(asked, language).finish()
    in_its_case = all(is_case(text) for rule, is_case in _ENGLISH_RULES.items() if rule in asked)
    checked = (given for given in instructions if given.rule in _CHECKS)
    return text if in_its_case and all(_CHECKS[given.rule](text, given.arguments) for given in checked) else None


class _Draft:
    """A text under way: lines of one paragraph, to which each rule adds what it lacks."""

    def __init__(self, asked: Asked, language: str) -> None:
        self.asked = asked
        rare = [given["keyword"] for given in self._given("keywords:frequency") if given["relation"] == LESS_THAN]
        rare += [
            given["letter"] for given in self._given("keywords:letter_frequency") if given["let_relation"] == LESS_THAN
        ]
        rare += [word for given in self._given("keywords:forbidden_words") for word in given["forbidden_words"]]
        self.rare = [text.lower() for text in rare]
        sentences = [text for text in SENTENCES[language] if self._is_allowed(text)]
        self.words = [word for text in SENTENCES[language] for word in text[:-1].split() if self._is_allowed(word)]
        self.words = self.words or ["one"]
        self.sentences = sentences or [" ".join(dict.fromkeys(self.words)) + "."]
        self.next_word = cycle(self.words).__next__
        self.next_sentence = cycle(self.sentences).__next__
        self.lines: list[str] = []
        self.head = ""
        self.tail: list[str] = []

    def _given(self, rule: str) -> Sequence[Mapping[str, Any]]:
        return self.asked.get(rule, ())

    def _is_allowed(self, text: str) -> bool:
        return not any(rare in text.lower() for rare in self.rare)

    @property
    def text(self) -> str:
        return "\n".join([*([self.head] if self.head else []), *self.lines, *self.tail])

    def finish(self) -> str:
        """Everything in order: what stands at the ends, what the lines hold, what the whole is made of."""
        for given in self._given("combination:repeat_prompt"):
            self.head = given["prompt_to_repeat"].strip()
        for given in self._given("detectable_content:postscript"):
            self.tail.append(f"{given['postscript_marker']} {self.next_word()}")
        for given in self._given("startend:end_checker"):
            self.tail.append(given["end_phrase"].strip())
        self._add_layout()
        self._add_keywords()
        self._add_sentences_and_words()
        self._add_frequencies()
        self._split_paragraphs()
        return self._as_whole()

    def _add_layout(self) -> None:
        if self._given("detectable_format:title"):
            self.lines.append(f"<<{self.next_word()}>>")
        if self._given("detectable_format:constrained_response"):
            self.lines.append(CONSTRAINED_OPTIONS[0])
        for given in self._given("detectable_format:multiple_sections"):
            missing = given["num_sections"] - num_sections(self.text, given["section_spliter"])
            self.lines += [f"{given['section_spliter']} {number + 1}" for number in range(missing)]
        for given in self._given("detectable_content:number_placeholders"):
            missing = given["num_placeholders"] - num_placeholders(self.text)
            self._add_line(f"[{self.next_word()}]" for _ in range(missing))
        for given in self._given("detectable_format:number_highlighted_sections"):
            missing = given["num_highlights"] - num_highlights(self.text)
            self._add_line(f"*{self.next_word()}*" for _ in range(missing))
        for given in self._given("detectable_format:number_bullet_lists"):
            missing = given["num_bullets"] - num_bullets(self.text)
            if not self.lines:
                self.lines.append(self.next_word())  # a quotation mark may come before the first line
            self.lines += [f"- {self.next_word()}" for _ in range(missing)]

    def _add_line(self, items: Any) -> None:
        """A line that does not begin with a mark."""
        line = " ".join(items)
        if line:
            self.lines.append(f"{self.next_word()} {line}")

    def _add_keywords(self) -> None:
        for given in self._given("keywords:existence"):
            lowered = self.text.lower()
            self._add_line(keyword for keyword in given["keywords"] if keyword.lower() not in lowered)
        for given in self._given("keywords:frequency"):
            if given["relation"] == AT_LEAST:
                missing = given["frequency"] - num_keyword(self.text, given["keyword"])
                self._add_line(given["keyword"] for _ in range(missing))

    def _add_sentences_and_words(self) -> None:
        needed_sentences, most_sentences = self._bounds("length_constraints:number_sentences", "num_sentences")
        needed_words, _ = self._bounds("length_constraints:number_words", "num_words")
        if any(self._given(rule) for rule in _LANGUAGE_RULES):
            needed_words = max(needed_words, num_words(self.text) + MIN_WORDS)
        if not self.lines:
            self.lines.append(self.next_word())
        while num_sentences(self.text) < needed_sentences:
            self.lines.append(self.next_sentence())
        while (missing := needed_words - num_words(self.text)) > 0:
            if num_sentences(self.text) + 1 < most_sentences and missing > len(self.sentences[0].split()):
                self.lines.append(self.next_sentence())
            else:
                self.lines[-1] += f" {self.next_word()}"

    def _bounds(self, rule: str, key: str) -> tuple[int, int]:
        """How many are needed, and how many are too many."""
        given = [(arguments[key], arguments["relation"]) for arguments in self._given(rule)]
        needed = max((count for count, relation in given if relation == AT_LEAST), default=0)
        return needed, min((count for count, relation in given if relation == LESS_THAN), default=MAX_BUILT_COUNT)

    def _add_frequencies(self) -> None:
        """Letters and capital words that the text still lacks, as extra words of its last line."""
        for given in self._given("keywords:letter_frequency"):
            if given["let_relation"] == AT_LEAST:
                letter = given["letter"].lower()
                carrier = next((word for word in self.words if letter in word.lower()), letter)
                self._extend(carrier, given["let_frequency"] - num_keyword(self.text, letter))
        for given in self._given("change_case:capital_word_frequency"):
            if given["capital_relation"] == AT_LEAST and not self._given("change_case:english_capital"):
                capitals = [word for word in _CAPITALS if self._is_allowed(word)] or [self.next_word().upper()]
                self._extend(capitals[0], given["capital_frequency"] - num_capital_words(self.text))

    def _extend(self, item: str, count: int) -> None:
        if count > 0:
            self._add_line([item] * count)

    def _split_paragraphs(self) -> None:
        for given in self._given("length_constraints:nth_paragraph_first_word"):
            first_word, position = given["first_word"], given["nth_paragraph"] - 1
            new = [self.next_word() for _ in range(given["num_paragraphs"] - 1)]
            if position == given["num_paragraphs"] - 1:  # the end of the text belongs to the last paragraph
                self.lines[0] = f"{first_word} {self.lines[0]}"
                self.head, opening = "", [*([self.head] if self.head else []), *new][: len(new)]
                self.lines[:0] = [f"{line}\n" for line in opening]
            else:
                new[position] = f"{first_word} {new[position]}"
                self.lines[:0] = [f"{line}\n" for line in new]
        for given in self._given("length_constraints:number_paragraphs"):
            for _ in range(given["num_paragraphs"] - 1):
                self.lines[:0] = [self.next_word(), PARAGRAPH_MARK]

    def _as_whole(self) -> str:
        text = self.text
        if self._given("combination:two_responses"):
            text = f"{self.next_word()}\n{RESPONSE_MARK}\n{text}"
        if self._given("punctuation:no_comma"):
            text = text.replace(",", "")
        if self._given("change_case:english_lowercase"):
            text = text.lower()
        if self._given("change_case:english_capital"):
            text = text.upper()
        if self._given("detectable_format:json_format"):
            text = json.dumps({"text": text}, ensure_ascii=False)
        return f'"{text}"' if self._given("startend:quotation") else text
