"""A reward function in TRL's form that a random model earns now and then: the share of digits in the answer."""


def score(prompts, completions, **kwargs):
    return [sum(character.isdigit() for character in text) / max(len(text), 1) for text in completions]
