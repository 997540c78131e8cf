"""Run by `.venv-bench`'s Python: lm-eval's IFEval checkers on the triples that `instruction_parity.py` sends.

JSON Lines `[rule, arguments, response]` in, `{"strict": bool, "loose": bool}` or `{"error": text}` out. lm-eval would
load two models of nltk from the network: here the sentences come from nltk's untrained Punkt, which knows no
abbreviations, and words from its tokeniser as it treats one line, so that all 25 checkers work offline.
"""

import json
import random
import sys

import nltk
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

nltk.data.find = lambda *_, **__: ""  # keeps the import below from downloading

from langdetect import DetectorFactory  # noqa: E402
from lm_eval.tasks.ifeval import instructions_util, utils  # noqa: E402

instructions_util._get_sentence_tokenizer = PunktSentenceTokenizer
instructions_util.nltk.word_tokenize = NLTKWordTokenizer().tokenize
DetectorFactory.seed = 0


def judge(rule: str, arguments: dict[str, object], response: str) -> dict[str, object]:
    random.seed(0)  # a checker draws at random what it takes for missing
    example = utils.InputExample(0, [rule], "", [arguments])
    try:
        strict = utils.test_instruction_following_strict(example, response)
        loose = utils.test_instruction_following_loose(example, response)
    except Exception as error:  # noqa: BLE001 - what theirs raises is a result
        return {"error": f"{type(error).__name__}: {error}"[:100]}
    return {"strict": bool(strict.follow_all_instructions), "loose": bool(loose.follow_all_instructions)}


for line in sys.stdin:
    sys.stdout.write(json.dumps(judge(*json.loads(line))) + "\n")
