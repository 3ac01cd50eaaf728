"""The policy with a value head beside its LM head, and the policy where it started: what PPO reads of answers.

Knows hidden states, log-probabilities and adapters. Must not know rewards, text or optimisers.

Answers are read as packed token trees (docs/token-tree.md): no padding, and what prompts share is computed once. One
pass gives everything: the state before a token predicts that token, and what the answer will be worth. The value head
is one linear layer on the policy's own last hidden states, 0 at first: whitened rewards have mean 0, so that 0 is a
fair guess. It is not taken from the helpfulness model, whose head reads another decoder's states on another scale.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewardmodel.core.backbone import backbone_of
from rewardmodel.core.layout import Batch
from rewardmodel.core.reading import AGREES_ROUGHLY, PROBE_ROWS, ROW_ATTENTION, choose_attention, read_tree
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row
from rewardmodel.core.tree import IntArray, grow
from training.core.ppo_math import entropies

SAME_LOGITS: Final = {torch.float32: 1e-3}  # of the largest logit; else AGREES_ROUGHLY


@dataclass(frozen=True)
class Reading:
    """What one pass found, a row of answers' tokens each; [answers of the batch, longest of them], 0 beside the mask.

    Attributes:
        log_probs: ln π of each token of the answer, in nats.
        values: V before each token was drawn.
        entropy: of the distribution that each token was drawn from, in nats; carries no gradient.
        mask: which places hold a token.
    """

    log_probs: Tensor
    values: Tensor
    entropy: Tensor
    mask: Tensor


class ActorCritic(nn.Module):
    """A causal LM whose parameters learn, or whose adapters do, with a value head and a reference."""

    def __init__(self, policy: nn.Module, *, pad: int, reference: PreTrainedModel | None) -> None:
        """`policy` is a causal LM, or a PeftModel of one, which is its own reference with the adapters off."""
        super().__init__()
        self.policy = policy
        self.reference = reference
        self.pad = pad
        self.value = nn.Linear(int(self.model.config.hidden_size), 1, device=self.model.device)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        self.attention = choose_attention(backbone_of(self.model), self.model.device)
        if reference is not None:
            choose_attention(backbone_of(reference), reference.device)

    @property
    def model(self) -> PreTrainedModel:
        """The causal LM itself, its adapters in place."""
        inner: Any = self.policy.get_base_model() if isinstance(self.policy, PeftModel) else self.policy
        model: PreTrainedModel = inner
        return model

    def read(self, batch: Batch, rows: Sequence[Row]) -> Reading:
        """Read the batch's rows; `rows` are all rows, of which `batch.rows` names some."""
        logits, states, targets, mask = self._logits(self.model, batch, rows)
        with torch.no_grad():
            entropy = entropies(logits)
        values = self.value(states.float()).squeeze(-1)
        return Reading(
            _unfold(_chosen(logits, targets), mask), _unfold(values, mask), _unfold(entropy, mask), mask
        )

    @torch.no_grad()
    def reference_log_probs(self, batch: Batch, rows: Sequence[Row]) -> Tensor:
        """ln π0 of the answers' tokens, shaped as in `read`."""
        adapters_off = self.policy.disable_adapter() if isinstance(self.policy, PeftModel) else nullcontext()
        with adapters_off:
            logits, _, targets, mask = self._logits(self.reference or self.model, batch, rows)
        return _unfold(_chosen(logits, targets), mask)

    @contextmanager
    def sampling(self) -> Iterator[PreTrainedModel]:
        """The causal LM with an attention that takes padding and a cache."""
        backbone: Any = backbone_of(self.model)
        backbone.set_attn_implementation(ROW_ATTENTION)
        try:
            yield self.model
        finally:
            backbone.set_attn_implementation(self.attention)

    def _logits(
        self, model: PreTrainedModel, batch: Batch, rows: Sequence[Row]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [t, vocabulary] in float32 and states [t, width] before each of the answers' t tokens, row by row; the
        tokens [t], and the mask [answers, longest]. The prompts' logits are never computed."""
        device = model.device
        places, targets, lengths = _places(batch, [rows[number].start for number in batch.rows])
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            packed = read_tree(backbone_of(model), batch.tree, pad=self.pad)
            states = packed[torch.from_numpy(places).to(device)]
            logits = head_of(model)(states)
        mask = torch.arange(int(lengths.max()))[None] < torch.from_numpy(lengths)[:, None]
        return logits.float(), states, torch.from_numpy(targets).to(device), mask.to(device)


def build_actor(
    model: PreTrainedModel, recipe: Literal["lora", "full"], *, lora_rank: int, pad: int, seed: int
) -> ActorCritic:
    """The actor-critic of a recipe. Adapters need no second model as reference; everything else does.

    Raises:
        RunFailedError: if the model makes its logits in another way than by its head alone.
    """
    if recipe == "full":
        reference = copy.deepcopy(model).requires_grad_(False)
        return _checked(ActorCritic(model, pad=pad, reference=reference))
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora_rank,
        lora_alpha=2 * lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    adapted: nn.Module = get_peft_model(model, config)
    return _checked(ActorCritic(adapted, pad=pad, reference=None))


@torch.inference_mode()
def _checked(actor: ActorCritic) -> ActorCritic:
    """The actor, whose logits were compared on a few tokens with what the model itself says.

    Some decoders scale or cap what comes out of their head.
    """
    tree, model = grow(PROBE_ROWS[:1]), actor.model
    found = head_of(model)(read_tree(backbone_of(model), tree, pad=actor.pad))
    untyped: Any = model
    with actor.sampling():
        expected = untyped(input_ids=torch.from_numpy(tree.tokens)[None].to(model.device)).logits[0]
    bound = SAME_LOGITS.get(expected.dtype, AGREES_ROUGHLY) * float(expected.abs().max())
    if float((found - expected).abs().max()) > bound:
        raise RunFailedError(
            f"{type(model).__name__} changes what comes out of its head, which PPO does not follow; start from a model "
            "that does not, such as a Llama."
        )
    return actor


def head_of(model: PreTrainedModel) -> nn.Module:
    """What turns hidden states into logits."""
    untyped: Any = model
    head: nn.Module = untyped.get_output_embeddings()
    return head


def _places(batch: Batch, starts: Sequence[int]) -> tuple[IntArray, IntArray, IntArray]:
    """Where the answers' tokens are predicted [t], which they are [t], and how many each answer has [answers]."""
    answers = [path[start - 1 :] for path, start in zip(batch.tree.paths, starts, strict=True)]
    places = np.concatenate([answer[:-1] for answer in answers])
    targets = batch.tree.tokens[np.concatenate([answer[1:] for answer in answers])]
    return places, targets, np.array([len(answer) - 1 for answer in answers])


def _chosen(logits: Tensor, tokens: Tensor) -> Tensor:
    """ln p of one token of each distribution, shape [t]."""
    return logits.log_softmax(dim=-1).gather(1, tokens[:, None]).squeeze(1)


def _unfold(flat: Tensor, mask: Tensor) -> Tensor:
    """Numbers of all tokens, row by row, in the places of the mask; the gradient flows back."""
    return torch.zeros(mask.shape, dtype=flat.dtype, device=flat.device).masked_scatter(mask, flat)
