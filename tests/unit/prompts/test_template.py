"""Text to tokens and back: chat templates, the system prompt, and the end tokens."""

import pytest
from transformers import AutoTokenizer

from prorl.prompts.template import Template
from prorl.records import Prompt
from prorl.shipped import mini_base_path

PAD, EOS, UNKNOWN = 0, 1, 2
"""Of the shipped tokenizer, which has one token a character."""
CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def tokenizer():
    return AutoTokenizer.from_pretrained(mini_base_path())


def prompt(content):
    return Prompt(id="p", domain="d", task="t", content=content)


def spell(tokenizer, text):
    """Characters to tokens one by one, independent of the tokenizer's own splitting."""
    return tuple(tokenizer.convert_tokens_to_ids(list(text)))


def test_plain_text_without_a_chat_template(tokenizer):
    assert Template(tokenizer, [EOS]).encode(prompt("1+2=")) == spell(tokenizer, "1+2=")


def test_messages_without_a_chat_template_follow_each_other(tokenizer):
    messages = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    template = Template(tokenizer, [EOS], system_prompt="sys")
    assert template.encode(prompt(messages)) == spell(tokenizer, "sys\na\nb")
    assert template.encode(prompt("text")) == spell(tokenizer, "sys\ntext")


def test_with_a_chat_template_the_answer_is_begun_and_special_tokens_are_one_token(tokenizer):
    tokenizer.chat_template = CHAT
    tokens = Template(tokenizer, [EOS]).encode(prompt("hi"))
    assert tokens == (*spell(tokenizer, "[user]hi"), EOS, *spell(tokenizer, "[assistant]"))


def test_the_system_prompt_comes_first_unless_the_prompt_has_its_own(tokenizer):
    tokenizer.chat_template = CHAT
    template = Template(tokenizer, [EOS], system_prompt="be kind")
    start = (*spell(tokenizer, "[system]be kind"), EOS)
    assert template.encode(prompt("hi"))[: len(start)] == start
    own = ({"role": "system", "content": "no"}, {"role": "user", "content": "hi"})
    assert template.encode(prompt(own))[:11] == (*spell(tokenizer, "[system]no"), EOS)
    # The prompt itself is untouched: it is encoded again and again.
    assert template.encode(prompt(own)) == template.encode(prompt(own))
    assert len(own) == 2


def test_a_chat_template_decides_on_special_tokens_alone(tokenizer):
    """A tokenizer that puts a token before every text must not put it before a templated one."""
    tokenizer.backend_tokenizer.post_processor = type(tokenizer.backend_tokenizer.post_processor)(
        single="<unk> $A", pair="<unk> $A $B:1", special_tokens=[("<unk>", UNKNOWN)]
    )
    assert Template(tokenizer, [EOS]).encode(prompt("a")) == (UNKNOWN, *spell(tokenizer, "a"))
    tokenizer.chat_template = "{{ messages[0].content }}"
    assert Template(tokenizer, [EOS]).encode(prompt("a")) == spell(tokenizer, "a")


def test_decode_drops_one_end_token_and_shows_every_other_special_token(tokenizer):
    template = Template(tokenizer, [EOS])
    a, b = spell(tokenizer, "ab")
    assert template.decode([a, b, EOS]) == "ab"
    assert template.decode([a, b]) == "ab"
    assert template.decode([a, EOS, EOS]) == "a<eos>"
    assert template.decode([a, EOS, b]) == "a<eos>b"
    assert template.decode([a, PAD, b, UNKNOWN, EOS]) == "a<pad>b<unk>"
    assert template.decode([a, PAD]) == "a<pad>"
    assert template.decode([EOS]) == ""
    assert template.decode([]) == ""


def test_any_of_the_end_tokens_ends_a_response(tokenizer):
    template = Template(tokenizer, [EOS, PAD])
    (a,) = spell(tokenizer, "a")
    assert template.decode([a, EOS]) == "a"
    assert template.decode([a, PAD]) == "a"
    assert template.decode([a, PAD, EOS]) == "a<pad>"


def test_decode_keeps_every_space(tokenizer):
    text = " a ,  b . c 's "
    assert Template(tokenizer, [EOS]).decode(spell(tokenizer, text)) == text


def test_a_response_whose_thinking_the_template_began_says_so(tokenizer):
    # The tag's letters are in the shipped vocabulary; its brackets are not needed for the rendered text.
    tokenizer.chat_template = CHAT + "{% if add_generation_prompt %}<think>\n{% endif %}"
    tokens = spell(tokenizer, "ab")
    assert Template(tokenizer, [EOS]).decode([*tokens, EOS]) == "<think>ab"
    tokenizer.chat_template = CHAT
    assert Template(tokenizer, [EOS]).decode([*tokens, EOS]) == "ab"
