"""One token from logits: the random stream against its definition, and draws against the distribution."""

import math

import pytest
import torch

from prorl.rollouts.sampler import nucleus, sample, uniforms

MASK = 2**64 - 1
SEEDS = [0, 1, -1, 1234567, 2**63 - 1, -(2**63), 987654321987654321]


def splitmix64(seed, step):
    """Output number `step` of the published generator, in Python's own integers."""
    z = (seed + (step + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def draw_uniforms(seeds, steps):
    return uniforms(torch.tensor(seeds), torch.tensor(steps))


def test_the_slow_twin_is_the_published_generator():
    """The outputs that its users quote for the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [splitmix64(1234567, step) for step in range(4)] == expected


def test_numbers_are_the_top_24_bits_of_splitmix64():
    pairs = [(seed, step) for seed in SEEDS for step in (0, 1, 2, 63, 8191, 10**6)]
    actual = draw_uniforms([seed for seed, _ in pairs], [step for _, step in pairs])
    expected = [(splitmix64(seed, step) >> 40) / 2**24 for seed, step in pairs]
    assert actual.tolist() == expected
    assert actual.dtype == torch.float32


def statistics(numbers):
    """Mean, variance and chi-square over 64 bins."""
    counts = torch.histc(numbers, 64, 0.0, 1.0)
    expected = len(numbers) / 64
    return float(numbers.mean()), float(numbers.var()), float(((counts - expected) ** 2 / expected).sum())


def test_a_stream_and_neighbouring_streams_are_uniform_and_uncorrelated():
    """100,000 numbers: the mean has a deviation of 0.0009; chi-square with 63 degrees 63 +- 11; a correlation 0.003."""
    count = 100_000
    along = draw_uniforms([5] * count, list(range(count)))
    across = draw_uniforms(list(range(count)), [0] * count)
    for numbers in (along, across):
        mean, variance, chi_square = statistics(numbers)
        assert abs(mean - 0.5) < 0.004
        assert abs(variance - 1 / 12) < 0.002
        assert 25 < chi_square < 110
        assert 0.0 <= float(numbers.min()) < 1e-3
        assert 0.999 < float(numbers.max()) < 1.0
        assert abs(float(torch.corrcoef(torch.stack([numbers[:-1], numbers[1:]]))[0, 1])) < 0.015
    other = draw_uniforms([6] * count, list(range(count)))
    assert abs(float(torch.corrcoef(torch.stack([along, other]))[0, 1])) < 0.015


QUARTERS = torch.tensor([0.25, 0.5, 0.125, 0.125])


def draw(probs, numbers, temperature=1.0, top_p=1.0):
    tokens, logprobs = sample(
        probs.log().expand(len(numbers), -1), torch.tensor(numbers), temperature=temperature, top_p=top_p
    )
    return tokens.tolist(), logprobs


def test_inverse_of_the_distribution_by_hand():
    """Borders at 1/4, 3/4 and 7/8; a border belongs to the token above it."""
    numbers = [0.0, 0.2499, 0.2501, 0.7499, 0.7501, 0.8749, 0.8751, 1 - 2**-24]
    tokens, logprobs = draw(QUARTERS, numbers)
    assert tokens == [0, 0, 1, 1, 2, 2, 3, 3]
    torch.testing.assert_close(logprobs, QUARTERS[tokens].log(), atol=1e-6, rtol=0)


def test_a_token_without_probability_is_never_drawn_not_even_at_the_ends():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        logits = 3 * torch.randn(4, 300, generator=generator)
        logits[:, :40] = logits[:, -40:] = -torch.inf
        numbers = torch.tensor([0.0, 2**-24, 1 - 2**-24, 0.5])
        tokens, logprobs = sample(logits, numbers, temperature=1.0, top_p=1.0)
        assert ((tokens >= 40) & (tokens < 260)).all()
        assert logprobs.isfinite().all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_frequencies_are_those_of_the_softmax(temperature):
    """Within four deviations of a count over 200,000 draws."""
    count = 200_000
    logits = torch.tensor([0.3, 1.5, -0.7, 2.0, 0.0])
    weights = [math.exp(z / temperature) for z in logits.tolist()]
    numbers = draw_uniforms(list(range(count)), [3] * count)
    tokens, logprobs = sample(logits.expand(count, -1), numbers, temperature, 1.0)
    for token, weight in enumerate(weights):
        p = weight / sum(weights)
        assert abs(int((tokens == token).sum()) / count - p) < 4 * math.sqrt(p * (1 - p) / count)
        assert logprobs[tokens == token].mean().item() == pytest.approx(math.log(p), abs=1e-4)


def test_greedy_takes_the_largest_with_its_probability_at_temperature_one():
    tokens, logprobs = draw(QUARTERS, [0.0, 0.99], temperature=0.0)
    assert tokens == [1, 1]
    torch.testing.assert_close(logprobs, torch.full((2,), math.log(0.5)), atol=1e-6, rtol=0)


NUCLEI = [
    (0.4, [0.0, 1.0, 0.0, 0.0]),
    (0.5, [0.0, 1.0, 0.0, 0.0]),  # one token holds exactly 0.5
    (0.51, [1 / 3, 2 / 3, 0.0, 0.0]),
    (0.75, [1 / 3, 2 / 3, 0.0, 0.0]),
    (0.8, [2 / 7, 4 / 7, 1 / 7, 0.0]),  # of two equal ones the first
    (0.9, [0.25, 0.5, 0.125, 0.125]),
    (0.001, [0.0, 1.0, 0.0, 0.0]),
]


@pytest.mark.parametrize(("top_p", "expected"), NUCLEI)
def test_nucleus_by_hand(top_p, expected):
    torch.testing.assert_close(nucleus(QUARTERS[None], top_p)[0], torch.tensor(expected), atol=1e-7, rtol=1e-6)


def test_a_nucleus_of_each_row():
    probs = torch.stack([QUARTERS, QUARTERS.flip(0)])
    torch.testing.assert_close(nucleus(probs, 0.6), torch.tensor([[1 / 3, 2 / 3, 0, 0], [0, 0, 2 / 3, 1 / 3]]))


def test_draws_from_a_nucleus_have_its_renormalised_log_probs():
    """The nucleus of 0.75 has 1/3 and 2/3; its border is at 1/3."""
    tokens, logprobs = draw(QUARTERS, [0.0, 0.333, 0.334, 1 - 2**-24], top_p=0.75)
    assert tokens == [0, 0, 1, 1]
    torch.testing.assert_close(logprobs, torch.tensor([1 / 3, 1 / 3, 2 / 3, 2 / 3]).log(), atol=1e-6, rtol=0)


def test_the_nucleus_is_taken_after_the_temperature():
    """At temperature 1/2 the squares 1/16, 1/4, 1/64, 1/64 sum to 22/64: the largest holds 16/22, two hold 20/22."""
    tokens, logprobs = draw(QUARTERS, [0.1, 0.9], temperature=0.5, top_p=0.9)
    assert tokens == [0, 1]
    torch.testing.assert_close(logprobs, torch.tensor([4 / 20, 16 / 20]).log(), atol=1e-6, rtol=0)


def test_16_bit_logits_are_drawn_in_float32():
    tokens, logprobs = sample(QUARTERS.log().bfloat16()[None], torch.tensor([0.3]), 1.0, 1.0)
    assert tokens.tolist() == [1]
    assert logprobs.dtype == torch.float32
