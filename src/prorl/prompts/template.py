"""Stage 1: the only place where text becomes tokens and tokens become text."""

from collections.abc import Iterable, Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from prorl.errors import UserError
from prorl.records import Prompt

THINK_OPEN = "<think>"


class Template:
    """A tokenizer with its chat template, a system prompt, and the end tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos_ids: Sequence[int], system_prompt: str = "") -> None:
        self._tokenizer = tokenizer
        self._eos_ids = frozenset(eos_ids)
        self._system_prompt = system_prompt
        self._opening = THINK_OPEN if self._opens_thinking() else ""

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Prompt tokens, ready for a response. Without a chat template the messages' texts follow each other."""
        content = prompt.content
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else [dict(m) for m in content]
        if self._system_prompt and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self._system_prompt})
        if self._tokenizer.chat_template is None:
            text = "\n".join(message["content"] for message in messages)
            return tuple(self._tokenizer(text)["input_ids"])
        try:
            text = self._render(messages)
        except TemplateError as error:
            raise UserError(f"prompt {prompt.id}: the model's chat template refuses it ({error})") from None
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of a response without its end token; other special tokens stay visible to the verifier.

        Where the chat template itself begins the thinking, the text does so too: a reader can tell that it never ended.
        """
        ids = [int(token) for token in tokens]
        if ids and ids[-1] in self._eos_ids:
            ids.pop()
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return self._opening + text

    def _render(self, messages: list[dict[str, str]]) -> str:
        return self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    def _opens_thinking(self) -> bool:
        if self._tokenizer.chat_template is None:
            return False
        try:
            return self._render([{"role": "user", "content": "x"}]).rstrip().endswith(THINK_OPEN)
        except TemplateError:
            return False  # it wants other messages, and says so at the first prompt
