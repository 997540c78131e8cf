"""Stage 1, data sets: the instructions that end a prompt, and how those that a data set brings along are taken off.

Math ends as in the paper (arXiv 2505.24864, appendix D). Of code and STEM the paper tells the form only: those words
are ours.
"""

import re

MATH = "Let's think step by step and output the final answer within \\boxed{}."
STEM = "Let's think step by step and output the final answer within \\boxed{}, with its unit if it has one."
CHOICE = "Let's think step by step and output the letter of the right option within \\boxed{}."
CODE_INPUT = (
    "Write a Python program that reads standard input and prints the answer. "
    "Present it in one block in triple backticks:\n```python\n# your program\n```"
)
CODE_FUNCTION = (
    "Write this in Python; it must define `{name}`. "
    "Present it in one block in triple backticks:\n```python\n# your program\n```"
)
ENDINGS = (MATH, STEM, CHOICE, CODE_INPUT)
_FUNCTION_ENDING = re.compile(
    r"Write this in Python; it must define `[^`]*`\. Present it in one block in triple backticks:[^`]*```[^`]*```\Z"
)
_EURUS_ENDING = re.compile(
    r"Write Python code to solve the problem\.\s+Present the code in\s+```python\s+Your code\s+```\s+at the end\.?\Z"
)
_DAPO_OPENING = re.compile(r"\ASolve the following math problem step by step\.[^\n]*\n+")
_DAPO_ENDING = re.compile(r"Remember to put your answer on its own line after \"Answer:\"\.?\Z")


def asked(problem: str, ending: str) -> str:
    """The problem with its instruction, on a line of its own where the instruction has several."""
    return f"{problem}\n\n{ending}" if "\n" in ending or "\n" in problem else f"{problem} {ending}"


def of_eurus(text: str) -> str:
    """The problem of a programming prompt of Eurus-2-RL."""
    return _EURUS_ENDING.sub("", text.strip()).strip()


def of_dapo(text: str) -> str:
    """The problem of a prompt of DAPO-Math, which asks for a last line `Answer: ...`."""
    return _DAPO_ENDING.sub("", _DAPO_OPENING.sub("", text.strip())).strip()


def without_ending(text: str) -> str:
    """The problem without the instruction that `asked` gave it: what two problems are compared by."""
    for ending in ENDINGS:
        if text.endswith(ending):
            return text.removesuffix(ending).strip()
    return _FUNCTION_ENDING.sub("", text).strip()
