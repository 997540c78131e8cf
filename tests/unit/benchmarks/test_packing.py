"""What the packing benchmark counts, on two groups whose packs are known."""

from batches import make_rows
from packing import count, num_pairs, num_places

from prorl.config import Config, Learner

GROUPS = [(3, (2, 4)), (1, (1,))]


def test_places_and_pairs_of_buckets_by_hand() -> None:
    assert num_places([(2, 5), (1, 3)]) == 13
    assert num_pairs([(2, 5), (1, 3)]) == 2 * 15 + 6


def test_one_pack_by_hand() -> None:
    """Rows of 6, 4 and 1 places, too different for a common bucket: attention is not padded; a prompt stands once."""
    figures = count(make_rows(GROUPS, vocabulary=20), Config(learner=Learner(token_budget=64)))
    assert (figures["rows"], figures["loss_tokens"]) == (3, 7)
    assert figures["needed"] == figures["trunk"] == figures["trunk_real"] == 3 + 1 + 3 + 1
    assert figures["row_tokens"] == figures["attention"] == 11
    assert figures["row_pairs"] == figures["attention_pairs"] == 21 + 10 + 1
    assert (figures["padded_minibatch"], figures["padded_group"]) == (18, 12 + 1)


def test_a_shared_bucket_is_padded_and_a_split_group_repeats_its_prompt() -> None:
    """Rows of 31 and 33 places share a bucket of 33; 4 rows of 63 + 1 places under a budget of 130 make two packs."""
    config = Config(learner=Learner(token_budget=130))
    figures = count(make_rows([(30, (2, 4))], vocabulary=20), config)
    assert (figures["attention"], figures["row_tokens"]) == (66, 64)
    assert figures["attention_pairs"] == 2 * (33 * 34 // 2)
    figures = count(make_rows([(60, (30, 30, 30, 30))], vocabulary=20), config)
    # 60 + 29 + 29 = 118 fit 130, a third row does not.
    assert (figures["needed"], figures["trunk"]) == (60 + 4 * 29, 2 * 118)
