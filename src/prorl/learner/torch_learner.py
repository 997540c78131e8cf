"""Stage 6: the policy update on one device: packed rows, chunked log-probabilities, one optimizer step a mini-batch."""

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prorl.algorithm.kl import KL, kl_clamped
from prorl.algorithm.logprobs import token_logprobs
from prorl.algorithm.loss import BEHAVIOUR_WEIGHTS, clip_masks, clipped_policy_loss, importance_ratio, token_mean
from prorl.config import Config
from prorl.errors import UserError
from prorl.learner.packing import ATTENTION, Pack, micro_batches, pack
from prorl.models import LoadedModel, head_weight
from prorl.records import Batch, Row

_FUSED_DEVICES = ("cpu", "cuda")


class TorchLearner:
    """`Learner` for one CPU or one GPU, any transformers model that takes its attention from the registry."""

    def __init__(
        self, loaded: LoadedModel, config: Config, progress: Callable[[str], None] = lambda text: None
    ) -> None:
        self._progress = progress
        self._model, self._device, self._dtype = loaded.model, loaded.device, loaded.dtype
        if not self._model._supports_attention_backend:
            raise UserError(f"{type(self._model).__name__}: its attention cannot be replaced, so it cannot be packed")
        self._model.set_attn_implementation(ATTENTION)
        if config.learner.activation_checkpointing:
            with warnings.catch_warnings():
                # The name that every transformers we allow has; newer ones say that it will go.
                warnings.simplefilter("ignore", FutureWarning)
                self._model.gradient_checkpointing_enable({"use_reentrant": False})
        self._reference = copy.deepcopy(self._model).requires_grad_(False)
        self._reference_home = torch.device("cpu") if config.learner.reference_on_host else self._device
        self._reference.to(self._reference_home)
        self._optimizer = self._new_optimizer(config)
        self.version = 0
        """Counts the changes of the policy in this process."""

    def _new_optimizer(self, config: Config) -> torch.optim.AdamW:
        options = config.optimizer
        return torch.optim.AdamW(
            self._model.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            weight_decay=options.weight_decay,
            fused=self._device.type in _FUSED_DEVICES,
        )

    def update(self, batch: Batch, config: Config, learning_rate: float) -> dict[str, float]:
        if not batch.minibatches:
            return {}
        for group in self._optimizer.param_groups:
            options = config.optimizer
            group.update(lr=learning_rate, betas=(options.beta1, options.beta2), weight_decay=options.weight_decay)
        totals: dict[str, float] = defaultdict(float)
        old: list[list[Tensor] | None] = [None] * len(batch.minibatches)
        self._model.train(config.learner.activation_checkpointing)
        for module in self._model.modules():
            if isinstance(module, nn.Dropout):
                module.eval()  # the trained policy is the one that was sampled from
        needs_reference = config.loss.kl_coefficient > 0
        if needs_reference:
            self._reference.to(self._device)
        for index, rows in enumerate(batch.minibatches):
            self._progress(f"update {index + 1}/{len(batch.minibatches)}")
            packs = [pack(part, self._device) for part in micro_batches(rows, config.learner.token_budget)]
            if index == 0:
                first = self._accumulate(packs, None, config, totals, measure_engine=True)
                if totals["engine"] / max(totals["engine_tokens"], 1.0) >= config.loss.engine_logprobs_below:
                    old[1:] = [self._old_logprobs(rest, config) for rest in batch.minibatches[1:]]
                finite = first
            else:
                finite = self._accumulate(packs, old[index], config, totals, measure_engine=False)
            self._step(finite, config, totals)
        self._model.eval()
        self.version += 1
        if needs_reference:
            self._reference.to(self._reference_home)
        return _metrics(totals, config)

    def _accumulate(
        self,
        packs: Sequence[Pack],
        old: list[Tensor] | None,
        config: Config,
        totals: dict[str, float],
        *,
        measure_engine: bool,
    ) -> bool:
        """Backward over a mini-batch's packs; False when a loss was not finite.

        `old` are the old policy's log-probs where they were measured. Without them the first mini-batch is on-policy,
        and a later one takes the engine's.
        """
        num_tokens = sum(part.num_targets for part in packs)
        finite = True
        for index, part in enumerate(packs):
            logprobs, entropy = self._logprobs(self._model, part, config)
            if old is not None:
                old_logprobs = old[index]
            else:
                old_logprobs = logprobs.detach() if measure_engine else part.behaviour_logprobs
            loss = self._loss(part, logprobs, old_logprobs, num_tokens, config, totals)
            finite = finite and bool(torch.isfinite(loss))
            loss.backward()
            totals["entropy"] += float(entropy.sum())
            totals["tokens"] += part.num_targets
            if measure_engine:
                totals["engine"] += float(KL["k3"](part.behaviour_logprobs, logprobs.detach()).sum())
                totals["engine_tokens"] += part.num_targets
        return finite

    def _loss(
        self, part: Pack, logprobs: Tensor, old: Tensor, num_tokens: int, config: Config, totals: dict[str, float]
    ) -> Tensor:
        """Clipped surrogate and KL penalty of one pack, over the tokens of the whole mini-batch."""
        options = config.loss
        clip = {"clip_low": options.clip_low, "clip_high": options.clip_high}
        values = clipped_policy_loss(logprobs, old, part.advantages, dual_clip=options.dual_clip or None, **clip)
        weight = BEHAVIOUR_WEIGHTS[options.behaviour_correction](
            old, part.behaviour_logprobs, options.behaviour_low, options.behaviour_high
        )
        values = values * weight
        if options.kl_coefficient > 0:
            with torch.no_grad():
                reference, _ = self._logprobs(self._reference, part, config)
            penalty = KL[options.kl_estimator](logprobs, reference)
            totals["kl"] += float(KL["k3"](logprobs.detach(), reference).sum())
            totals["kl_clamped"] += float(
                kl_clamped(logprobs.detach(), reference, estimator=options.kl_estimator).sum()
            )
            if options.kl_importance:
                penalty = penalty * importance_ratio(logprobs, old)
            values = values + options.kl_coefficient * penalty
        low, high = clip_masks(logprobs.detach(), old, part.advantages, **clip)
        totals["clip_low"] += float(low.sum())
        totals["clip_high"] += float(high.sum())
        totals["weight"] += float(weight.sum())
        return token_mean(values, torch.ones_like(values, dtype=torch.bool), num_tokens)

    def _logprobs(self, model: PreTrainedModel, part: Pack, config: Config) -> tuple[Tensor, Tensor]:
        """Log-probs and entropy `[T]` of a pack's response tokens at the sampling temperature."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            hidden = model.get_decoder()(
                input_ids=part.tokens, position_ids=part.positions, use_cache=False, layout=part.layout
            ).last_hidden_state
        return token_logprobs(
            hidden[0, part.predictors],
            head_weight(model),
            part.targets,
            temperature=config.rollouts.temperature,
            chunk_size=config.learner.logprob_chunk,
        )

    @torch.no_grad()
    def _old_logprobs(self, rows: Sequence[Row], config: Config) -> list[Tensor]:
        """The policy's log-probs of a later mini-batch, before the first update, in the order of its packs."""
        packs = (pack(part, self._device) for part in micro_batches(rows, config.learner.token_budget))
        return [self._logprobs(self._model, part, config)[0] for part in packs]

    def _step(self, finite: bool, config: Config, totals: dict[str, float]) -> None:
        limit = config.optimizer.max_grad_norm or float("inf")
        norm = float(nn.utils.clip_grad_norm_(self._model.parameters(), limit))
        totals["minibatches"] += 1
        if finite and norm == norm and norm != float("inf"):
            totals["grad_norm"] += norm
            self._optimizer.step()
        else:
            totals["skipped"] += 1
        self._optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def reset(
        self, reference: Mapping[str, Tensor] | None, policy: Mapping[str, Tensor] | None, config: Config
    ) -> None:
        for weights, what in ((reference, "reference"), (policy, "policy")):
            if weights is not None:
                _refuse_misfit(self._model, weights, what)
        if policy is not None:
            _copy_into(self._model, policy)
            self.version += 1
        new = dict(reference) if reference is not None else dict(self.weights())
        blend = config.reset.blend
        if blend < 1.0:
            old = _named(self._reference)
            new = {name: old[name].lerp(value.to(old[name]), blend) for name, value in new.items()}
        _copy_into(self._reference, new)
        if config.reset.optimizer == "clear":
            self._optimizer = self._new_optimizer(config)

    def weights(self) -> Mapping[str, Tensor]:
        return _named(self._model)

    @torch.no_grad()
    def evaluate(self, rows: Sequence[Row], config: Config) -> list[Tensor]:
        """The policy's log-probs of the rows' responses, in the rows' order."""
        result: dict[int, Tensor] = {}
        for part in micro_batches(rows, config.learner.token_budget):
            values, _ = self._logprobs(self._model, pack(part, self._device), config)
            sizes = [len(row.response_tokens) for row in part]
            result.update(zip(map(id, part), values.split(sizes), strict=True))
        return [result[id(row)] for row in rows]

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": {name: value.detach() for name, value in self.weights().items()},
            "reference": {name: value.detach() for name, value in _named(self._reference).items()},
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        _refuse_misfit(self._model, state["weights"], "policy")
        _refuse_misfit(self._reference, state["reference"], "reference")
        _copy_into(self._model, state["weights"])
        _copy_into(self._reference, state["reference"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.version += 1


def _named(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by name, a shared one once."""
    return dict(model.named_parameters())


def _refuse_misfit(model: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    own = _named(model)
    wrong = sorted(own.keys() ^ weights.keys())
    if wrong:
        raise UserError(f"{what} weights do not fit the model: {wrong[0]} is in only one of them ({len(wrong)} in all)")
    for name, parameter in own.items():
        if parameter.shape != weights[name].shape:
            raise UserError(f"{what} weights do not fit the model: {name} has shape {tuple(weights[name].shape)}")


@torch.no_grad()
def _copy_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in _named(model).items():
        parameter.copy_(weights[name])


def _metrics(totals: Mapping[str, float], config: Config) -> dict[str, float]:
    tokens = max(totals.get("tokens", 0.0), 1.0)
    updated = totals["minibatches"] - totals.get("skipped", 0.0)
    metrics = {
        "entropy": totals["entropy"] / tokens,
        "kl/engine": totals["engine"] / max(totals["engine_tokens"], 1.0),
        "clip_fraction/low": totals["clip_low"] / tokens,
        "clip_fraction/high": totals["clip_high"] / tokens,
        "updates_skipped": totals.get("skipped", 0.0),
        "tokens/trained": totals["tokens"],
    }
    if updated:
        metrics["grad_norm"] = totals["grad_norm"] / updated
    if config.loss.kl_coefficient > 0:
        metrics["kl/reference"] = totals["kl"] / tokens
        metrics["kl/clamped_fraction"] = totals["kl_clamped"] / tokens
    if config.loss.behaviour_correction != "none":
        metrics["importance_weight/mean"] = totals["weight"] / tokens
    return {name: value for name, value in metrics.items() if value == value and abs(value) != float("inf")}
