"""Every option of a run: frozen, typed, documented. `recipe.py` reads them from TOML; nothing else adds any.

A field's allowed values stand in its `option(...)`: a range, a set of choices, or None where the type says it all.
Cross-checks between sections are in `checks.py`.
"""

from dataclasses import dataclass, field
from typing import Any

ALL_LINEAR = "all-linear"


def option(default: Any, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A field with its allowed values; `recipe.py` checks them and `docs/options.md` prints them."""
    metadata = {"low": low, "high": high, "choices": choices}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    path: str = option("mini-base")
    """A Hugging Face hub name, a local folder, or `mini-base` (the shipped one)."""
    revision: str = option("")
    """Hub revision; empty for the default branch."""
    dtype: str = option("auto", choices=("auto", "float32", "bfloat16"))
    """Compute type. `auto`: float32 on a CPU, bfloat16 on a GPU. Master weights are float32 either way."""
    device: str = option("auto", choices=("auto", "cpu", "cuda"))
    """`auto` takes the GPU where there is one."""
    threads: int = option(0, low=0, high=1024)
    """CPU threads of the process; 0 takes the machine's cores."""
    lora_rank: int = option(0, low=0, high=4096)
    """Train a low-rank adapter of this rank (`pip install 'prorl[lora]'`, docs/lora.md); 0 trains all weights."""
    lora_alpha: int = option(0, low=0)
    """The adapter's product is weighed by `lora_alpha / lora_rank`; 0 for twice the rank."""
    lora_targets: tuple[str, ...] = option((ALL_LINEAR,))
    """Layers with an adapter by name (`["q_proj", "v_proj"]`); `all-linear`: every linear layer but the head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    source: str = option("mini")
    """A built-in suite (`mini`, `procedural`; `_hard` for the levels above), or a file of rows (.jsonl, .parquet)."""
    weight: float = option(1.0, low=0.0)
    """Share of the stream, relative to the other sources."""
    domain: str = option("")
    """Domain of the rows; empty keeps each row's own."""
    tasks: tuple[str, ...] = option(())
    """Task names to keep; empty keeps all."""
    min_level: int = option(0, low=0)
    """Lowest level to draw; 0 for no bound."""
    max_level: int = option(0, low=0)
    """Highest level to draw; 0 for the suite's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    sources: tuple[Source, ...] = option(())
    """The mixture; each draw picks a source by weight and then a row of it."""
    domain_weights: dict[str, float] = option({})
    """Quota of each domain in the stream (`{math = 2, code = 1}`); empty leaves it to the sources' weights."""
    system_prompt: str = option("")
    """Put before the user's message where the model has a chat template."""
    max_prompt_tokens: int = option(1024, low=1)
    """Longer prompts are dropped and counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollouts:
    engine: str = option("torch", choices=("torch", "generate", "vllm"))
    """`torch`: the embedded engine; `generate`: transformers' own loop, for any architecture; `vllm`: docs/vllm.md."""
    prompts_per_step: int = option(256, low=1)
    """Informative groups in a step (the paper: 256)."""
    group_size: int = option(16, low=2)
    """Rollouts a prompt (the paper: 16)."""
    temperature: float = option(1.2, low=0.01, high=10.0)
    """Sampling temperature; log-probabilities are taken at it everywhere (the paper: 1.2)."""
    max_response_tokens: int = option(8192, low=1)
    """A response is cut here."""
    token_budget: int = option(65536, low=256)
    """Key/value cache of the engine, in tokens: bounds its memory."""
    tensor_parallel_size: int = option(1, low=1, high=64)
    """GPUs that share an engine of vLLM, for a model that needs several."""
    gpu_memory_utilization: float = option(0.0, low=0.0, high=0.95)
    """vLLM takes this share of the GPU while it samples and gives its cache back for the update; 0: `token_budget`."""
    process: bool = option(False)
    """Sample and verify in a process beside the learner's, on its own GPU if one is left; docs/asynchronous.md."""
    max_staleness: int = option(0, low=0, high=64)
    """Updates at most between the weights that sampled a batch and those it is trained on; 0: synchronous."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    enabled: bool = option(True)
    """Dynamic sampling: flat groups are dropped and the batch is refilled. Off: every group is trained on."""
    min_spread: float = option(1e-6, low=0.0, high=1.0)
    """Smallest difference of the scores of a group that still teaches."""
    score_floor: dict[str, float] = option({})
    """By domain: a score below it counts as 0 for the filter (consolation scores)."""
    max_rounds: int = option(10, low=1)
    """Sampling rounds a step at most."""
    max_tokens: int = option(0, low=0)
    """Generated tokens a step at most; 0 for no bound."""
    on_exhausted: str = option("train", choices=("train", "stop"))
    """When a bound is hit: train on the groups there are, or stop the run."""
    oversampling: float = option(1.1, low=1.0, high=16.0)
    """Groups drawn for each group expected to be missing."""
    solved_streak: int = option(3, low=0)
    """A prompt solved by every rollout this often in a row goes to the slow lane; 0 for no lane."""
    unsolved_streak: int = option(0, low=0)
    """The same for a prompt that no rollout solved this often in a row; 0 for no lane."""
    slow_lane_share: float = option(0.1, low=0.0, high=1.0)
    """Share of its draws that a prompt in the slow lane keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reward:
    workers: int = option(1, low=1, high=1024)
    """Verifier processes."""
    timeout_seconds: float = option(10.0, low=0.01)
    """Wall clock of one answer's verification; then the worker is killed."""
    memory_mb: int = option(2048, low=256)
    """Address space of a verifier process."""
    functions: dict[str, str] = option({})
    """Reward functions of your own by domain: `{math = "my_rewards:score"}` (TRL's or verl's signature)."""
    sandbox: str = option("auto")
    """Where programs run: auto, landlock, bubblewrap, the URL of a Sandbox Fusion server, or unsafe (no isolation)."""
    reading: str = option("strict", choices=("strict", "tolerant"))
    """How built-in verifiers read an answer: in the form asked for, or tolerant of the form."""
    log_other_reading: bool = option(False)
    """Judge every training rollout by the other reading too, and log its scores as `score_other/`."""
    truncation: str = option("zero", choices=("zero", "mask", "soft", "none"))
    """What a truncated response earns: score 0, out of loss and statistics, DAPO's linear buffer, or its score."""
    soft_buffer_tokens: int = option(0, low=0)
    """Length of the linear buffer of `truncation = "soft"`."""
    soft_penalty: float = option(1.0, low=0.0)
    """Penalty at the end of that buffer."""
    length_penalty: float = option(0.0, low=0.0)
    """Weight of the cosine length term (ProRL v2); 0 switches it off."""
    length_penalty_on: int = option(100, low=1)
    """Steps of a cycle with the length term."""
    length_penalty_off: int = option(500, low=0)
    """Steps of a cycle without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    advantage: str = option("group", choices=("group", "batch", "loo", "dr"))
    """`group`: GRPO; `batch`: whitened over the batch (v2); `loo`: leave-one-out; `dr`: without the deviation."""
    clip_low: float = option(0.2, low=0.0, high=1.0)
    """Lower clip of the importance ratio (the paper: 0.2)."""
    clip_high: float = option(0.4, low=0.0)
    """Upper clip (the paper: 0.4, clip-higher)."""
    dual_clip: float = option(0.0, low=0.0)
    """Bound of the loss of negative advantages as a multiple of the advantage; 0 switches it off, else above 1."""
    kl_coefficient: float = option(1e-4, low=0.0)
    """Weight of the KL penalty in the loss (the paper: 1e-4); 0 skips the reference passes."""
    kl_estimator: str = option("k3", choices=("k2", "k3", "k3_unbiased"))
    """k1 has no gradient in expectation and is only a metric."""
    kl_importance: bool = option(False)
    """Weigh the KL term by the importance ratio, for several updates a batch."""
    behaviour_correction: str = option("none", choices=("none", "truncated", "icepop"))
    """Correction for the engine's log-probs differing from the learner's."""
    behaviour_low: float = option(0.5, low=0.0)
    """Lower bound of ICE-POP's band."""
    behaviour_high: float = option(2.0, low=1.0)
    """Cap of the truncated weight, or upper bound of ICE-POP's band."""
    engine_logprobs_below: float = option(1e-3, low=0.0)
    """The engine's log-probs serve as the old policy's where `kl/engine` of the step is below this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    name: str = option("adamw", choices=("adamw", "adamw_8bit"))
    """`adamw_8bit` keeps both moments in 8 bits (bitsandbytes, `pip install 'prorl[eightbit]'`); docs/scaling.md."""
    learning_rate: float = option(2e-6, low=0.0)
    """Of AdamW (the paper: 2e-6)."""
    schedule: str = option("constant", choices=("constant", "linear", "cosine"))
    """Over `train.steps`; the paper's is constant."""
    warmup_steps: int = option(0, low=0)
    """Steps of linear warm-up, at the start and after each reset that clears the optimizer."""
    beta1: float = option(0.9, low=0.0, high=1.0)
    """First moment decay."""
    beta2: float = option(0.999, low=0.0, high=1.0)
    """Second moment decay."""
    weight_decay: float = option(0.01, low=0.0)
    """Decoupled."""
    max_grad_norm: float = option(1.0, low=0.0)
    """Gradient norm clip; 0 for none."""
    minibatch_prompts: int = option(64, low=1)
    """Prompts an optimizer step (the paper: 64 of 256, four steps)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    token_budget: int = option(8192, low=64)
    """Tokens of a packed micro-batch; one longer row makes a micro-batch of its own."""
    logprob_chunk: int = option(2048, low=1)
    """Tokens whose vocabulary row exists at a time."""
    activation_checkpointing: bool = option(False)
    """Recompute activations in the backward pass."""
    reference_on_host: bool = option(False)
    """Keep the reference policy in host memory and bring it to the device for its passes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    patience: int = option(0, low=0)
    """Validations without a new best before a stagnation reset; 0 switches the trigger off."""
    min_delta: float = option(0.0, low=0.0)
    """A new best is better than the old one by more than this."""
    max_drop: float = option(0.0, low=0.0)
    """Reset when validation falls this far below its best; 0 switches the trigger off."""
    interval: int = option(0, low=0)
    """Reset after this many steps without one; 0 switches the trigger off."""
    max_kl: float = option(0.0, low=0.0)
    """Reset when `kl/reference` exceeds this for `kl_window` steps in a row; 0 switches the trigger off."""
    kl_window: int = option(5, low=1)
    """Steps in a row."""
    cooldown: int = option(0, low=0)
    """Steps after a reset in which no automatic trigger fires."""
    max_resets: int = option(0, low=0)
    """Automatic resets a phase at most; 0 for no bound."""
    reference: str = option("policy", choices=("policy", "best"))
    """The new reference: the policy of now, or the best checkpoint's."""
    roll_back: bool = option(False)
    """The policy goes back to the best checkpoint too."""
    optimizer: str = option("clear", choices=("clear", "keep"))
    """v1 clears it, v2 keeps it."""
    blend: float = option(1.0, low=0.0, high=1.0)
    """Share of the new weights in the reference; below 1 is a soft reset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    min_entropy: float = option(0.0, low=0.0)
    """Alarm below it (nats a token); 0 switches the rule off."""
    max_kl: float = option(0.0, low=0.0)
    """Alarm when `kl/reference` is above it; 0 switches the rule off."""
    max_truncated: float = option(1.0, low=0.0, high=1.0)
    """Alarm when the truncated fraction is above it."""
    max_verifier_errors: float = option(0.05, low=0.0, high=1.0)
    """Alarm when the share of `error` outcomes is above it."""
    max_dead_groups: float = option(1.0, low=0.0, high=1.0)
    """Alarm when the share of flat groups is above it."""
    max_engine_kl: float = option(0.1, low=0.0)
    """Alarm when engine and learner disagree by more (`kl/engine`)."""
    window: int = option(3, low=1)
    """Steps in a row before a rule acts."""
    action: str = option("warn", choices=("warn", "stop"))
    """What an alarm does beyond being logged. Three non-finite updates in a row always stop the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    every: int = option(20, low=0)
    """Steps between validations; 0 switches validation off."""
    sources: tuple[Source, ...] = option(())
    """Held-out problems; empty takes the training sources' tasks and levels."""
    problems_per_level: int = option(8, low=1)
    """Validation problems a level."""
    samples: int = option(4, low=1)
    """Samples a problem."""
    temperature: float = option(0.6, low=0.0, high=10.0)
    """Of validation (the paper: 0.6)."""
    top_p: float = option(0.95, low=0.01, high=1.0)
    """Of validation (the paper: 0.95)."""
    domain_weights: dict[str, float] = option({})
    """The blend whose stagnation resets; empty weighs the domains alike."""
    boundary_samples: int = option(0, low=0, high=100000)
    """Samples a problem of the boundary measurement at the end of the run; 0 for none."""
    boundary_problems: int = option(40, low=2)
    """Problems a level of that measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    steps: int = option(0, low=0)
    """Steps of the phase; 0 for no bound, in the last phase only."""
    until_stagnation: bool = option(False)
    """End the phase early when validation stagnates after its last allowed reset."""
    reset: bool = option(False)
    """Reset when the phase is entered, under the `reset` options of the phase before it. Not held back by their limits;
    the run's first phase has nothing to reset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    steps: int = option(1000, low=0)
    """Steps of the whole run, over all phases."""
    seed: int = option(0, low=0, high=2**31 - 1)
    """Of data order, sampling and initialisation."""
    checkpoint_every: int = option(50, low=0)
    """Steps between checkpoints; 0 for one at the end only (and at each reset)."""
    keep_checkpoints: int = option(2, low=1)
    """Newest checkpoints that stay; the best and those of resets always do."""
    boundary_every: int = option(0, low=0)
    """Steps between checkpoints that stay for the boundary, which measures them too; 0: only base and last model."""
    samples_per_step: int = option(4, low=0)
    """Rollouts written to `samples.jsonl` each step, with their verdicts."""
    tensorboard: bool = option(True)
    """Write TensorBoard files."""
    wandb: str = option("")
    """Weights & Biases project to log to (`pip install 'prorl[wandb]'`); empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Where the ranks of `--cluster` run: not part of what is computed, and free to change when a run is resumed."""

    ranks: int = option(0, low=0, high=65536)
    """Worker processes; 0: one for each GPU that the cluster has, a single one where it has none."""
    cpus_per_rank: int = option(1, low=1, high=1024)
    """CPUs that the cluster sets aside for a rank: its threads and its verifiers."""
    max_failures: int = option(3, low=0, high=1000)
    """Dead workers or nodes after which the run goes on by itself, from its newest checkpoint; 0 for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One phase of a run, fully resolved."""

    name: str = "run"
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    rollouts: Rollouts = field(default_factory=Rollouts)
    filter: Filter = field(default_factory=Filter)
    reward: Reward = field(default_factory=Reward)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    learner: Learner = field(default_factory=Learner)
    reset: Reset = field(default_factory=Reset)
    health: Health = field(default_factory=Health)
    evaluation: Evaluation = field(default_factory=Evaluation)
    phase: Phase = field(default_factory=Phase)
    train: Train = field(default_factory=Train)
    cluster: Cluster = field(default_factory=Cluster)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A whole run: its phases in order. `train.*`, `model.*` and `cluster.*` are those of the first phase."""

    name: str
    phases: tuple[Config, ...]

    @property
    def train(self) -> Train:
        return self.phases[0].train

    @property
    def model(self) -> Model:
        return self.phases[0].model

    @property
    def cluster(self) -> Cluster:
        return self.phases[0].cluster
