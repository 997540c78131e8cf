"""Stage 6: the policy update: packed rows, chunked log-probabilities, one optimizer step a mini-batch.

On several ranks each trains its share of every mini-batch on weights that are sharded between them; the denominator,
the gradient's norm and every metric are those of the whole mini-batch.
"""

import importlib
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prorl import distributed
from prorl.algorithm.kl import KL, kl_clamped
from prorl.algorithm.loss import BEHAVIOUR_WEIGHTS, clip_masks, clipped_policy_loss, importance_ratio, token_mean
from prorl.config import Config
from prorl.errors import UserError
from prorl.learner.computed import shapes
from prorl.learner.fsdp import gathered, held, own_part, reshard, sharded, whole
from prorl.learner.optimizers import OPTIMIZERS
from prorl.learner.packing import ATTENTION, Pack, micro_batches, pack
from prorl.learner.shares import rank_micro_batches
from prorl.learner.trained import AllWeights, Scorer, Trained, copy_into, refuse_misfit
from prorl.learner.varlen import usable_kernel
from prorl.models import LoadedModel, load_adapters
from prorl.records import Batch, Row


class TorchLearner:
    """`Learner` on CPUs and GPUs, any transformers model that takes its attention from the registry."""

    def __init__(
        self, loaded: LoadedModel, config: Config, progress: Callable[[str], None] = lambda text: None
    ) -> None:
        self._progress = progress
        self._model, self._device, self._dtype = loaded.model, loaded.device, loaded.dtype
        if not self._model._supports_attention_backend:
            raise UserError(f"{type(self._model).__name__}: its attention cannot be replaced, so it cannot be packed")
        self._model.set_attn_implementation(ATTENTION)
        self._kernel = usable_kernel(self._device, self._dtype)
        if config.learner.activation_checkpointing:
            with warnings.catch_warnings():
                # The name that every transformers we allow has; newer ones say that it will go.
                warnings.simplefilter("ignore", FutureWarning)
                self._model.gradient_checkpointing_enable({"use_reentrant": False})
        self._trained = _trained(loaded, config)
        self._optimizer = self._new_optimizer(config)
        self.version = 0
        """Counts the changes of the policy in this process."""

    def _new_optimizer(self, config: Config) -> torch.optim.AdamW:
        return OPTIMIZERS[config.optimizer.name](self._trained.parameters().values(), config.optimizer, self._device)

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
        with self._trained.reference_at_hand(needed=config.loss.kl_coefficient > 0):
            for index, rows in enumerate(batch.minibatches):
                self._progress(f"update {index + 1}/{len(batch.minibatches)}")
                packs, num_tokens = self._packs(rows, config), sum(len(row.response_tokens) for row in rows)
                finite = self._accumulate(packs, old[index], num_tokens, config, totals, measure_engine=index == 0)
                if index == 0 and self._engine_differs(totals, config):
                    old[1:] = [self._old_logprobs(rest, config) for rest in batch.minibatches[1:]]
                self._step(finite, config, totals)
        self._model.eval()
        self.version += 1
        return _metrics(distributed.total(totals), config)

    def _packs(self, rows: Sequence[Row], config: Config) -> list[Pack]:
        """This rank's packs of a mini-batch."""
        mine = rank_micro_batches(rows, config.learner.token_budget, distributed.rank(), distributed.world())
        return [pack(part, self._device, self._kernel) for part in mine]

    def _engine_differs(self, totals: Mapping[str, float], config: Config) -> bool:
        """Whether the old policy takes a pass of its own: batches may be stale, or the engine differs (mean k3)."""
        if config.rollouts.max_staleness:
            return True  # the engine's log-probs are an older policy's, against which the loss is corrected
        found = distributed.total({name: totals[name] for name in ("engine", "engine_tokens")})
        return found["engine"] / max(found["engine_tokens"], 1.0) >= config.loss.engine_logprobs_below

    def _accumulate(
        self,
        packs: Sequence[Pack],
        old: list[Tensor] | None,
        num_tokens: int,
        config: Config,
        totals: dict[str, float],
        *,
        measure_engine: bool,
    ) -> bool:
        """Backward over a mini-batch's packs; False when a loss was not finite.

        `old` are the old policy's log-probs where they were measured. Without them the first mini-batch is on-policy,
        and a later one takes the engine's.
        """
        finite = True
        for index, part in enumerate(packs):
            logprobs, entropy = self._logprobs(self._trained.scorer, part, config)
            if old is not None:
                old_logprobs = old[index]
            else:
                old_logprobs = logprobs.detach() if measure_engine else part.behaviour_logprobs
            loss = self._loss(part, logprobs, old_logprobs, num_tokens, config, totals)
            finite = finite and bool(torch.isfinite(loss))
            (loss * distributed.world()).backward()  # sharded gradients are means over the ranks
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
            with torch.no_grad(), self._trained.as_reference() as scorer:
                reference, _ = self._logprobs(scorer, part, config)
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

    def _logprobs(self, scorer: Scorer, part: Pack, config: Config) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = scorer(part, config.rollouts.temperature, config.learner.logprob_chunk)
        if not torch.is_grad_enabled():
            reshard(scorer)  # what a backward would do
        return found

    @torch.no_grad()
    def _old_logprobs(self, rows: Sequence[Row], config: Config) -> list[Tensor]:
        """The policy's log-probs of a later mini-batch, before the first update, in the order of its packs."""
        return [self._logprobs(self._trained.scorer, part, config)[0] for part in self._packs(rows, config)]

    def _step(self, finite: bool, config: Config, totals: dict[str, float]) -> None:
        limit = config.optimizer.max_grad_norm or float("inf")
        norm = float(whole(nn.utils.clip_grad_norm_(self._trained.parameters().values(), limit)))
        finite = not distributed.any_rank(not finite)
        if distributed.is_first():  # the totals are added over the ranks
            totals["minibatches"] += 1
            totals["grad_norm"] += norm if finite and math.isfinite(norm) else 0.0
        if finite and math.isfinite(norm):
            self._optimizer.step()
        elif distributed.is_first():
            totals["skipped"] += 1
        self._optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def reset(
        self, reference: Mapping[str, Tensor] | None, policy: Mapping[str, Tensor] | None, config: Config
    ) -> None:
        own = self._trained.parameters()
        for weights, what in ((reference, "reference"), (policy, "policy")):
            if weights is not None:
                refuse_misfit(own, weights, what)
        if policy is not None:
            copy_into(own, policy)
            self.version += 1
        new = reference if reference is not None else own
        for name, parameter in self._trained.reference().items():
            value = own_part(new[name], parameter).to(held(parameter))
            if config.reset.blend < 1.0:
                value = held(parameter).lerp(value, config.reset.blend)
            held(parameter).copy_(value)
        if config.reset.optimizer == "clear":
            self._optimizer = self._new_optimizer(config)

    def num_parameters(self) -> tuple[int, int]:
        """How many the policy has, and how many train: all, or an adapter's beside them."""
        both = shapes(self._trained.policy()), self._trained.parameters()
        policy, trained = (sum(value.numel() for value in values.values()) for values in both)
        return policy, trained

    def weights(self) -> Mapping[str, Tensor]:
        policy = self._trained.policy()
        return gathered(policy) if distributed.world() > 1 else policy

    @torch.no_grad()
    def evaluate(self, rows: Sequence[Row], config: Config) -> list[Tensor]:
        """The policy's log-probs of the rows' responses, in the rows' order."""
        result: dict[int, Tensor] = {}
        for part in micro_batches(rows, config.learner.token_budget):
            values, _ = self._logprobs(self._trained.scorer, pack(part, self._device, self._kernel), config)
            sizes = [len(row.response_tokens) for row in part]
            result.update(zip(map(id, part), values.split(sizes), strict=True))
        return [result[id(row)] for row in rows]

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": self._trained.policy(),
            "adapter": self._trained.adapter(),
            "reference": {name: value.detach() for name, value in self._trained.reference().items()},
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        policy = self._trained.from_checkpoint(state["weights"], state["adapter"])
        refuse_misfit(self._trained.reference(), state["reference"], "reference")
        copy_into(self._trained.parameters(), policy)
        copy_into(self._trained.reference(), state["reference"])
        self._optimizer.load_state_dict(self._sharded_like_parameters(state["optimizer"]))
        self.version += 1

    def _sharded_like_parameters(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The optimizer's state with its whole tensors sharded as the parameters are that they belong to."""
        parameters = list(self._trained.parameters().values())

        def placed(index: int, value: Any) -> Any:
            fits = isinstance(value, Tensor) and value.shape == parameters[index].shape and value.dim() > 0
            return sharded(value, parameters[index]) if fits else value

        moments = {
            index: {name: placed(index, value) for name, value in of.items()} for index, of in state["state"].items()
        }
        return {**state, "state": moments}


def _trained(loaded: LoadedModel, config: Config) -> Trained:
    if not config.model.lora_rank:
        return AllWeights(loaded, config)
    load_adapters(config.model)
    adapted: Trained = importlib.import_module("prorl.learner.lora").LoraWeights(loaded, config)
    return adapted


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
