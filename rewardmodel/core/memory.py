"""Too little memory: how to tell it from other errors, how to need less, and what to say when that is not enough.

Knows torch's allocators and activation checkpointing. Must not know losses or data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from rewardmodel.core.report import RunFailedError

CPU_WORDS: Final = ("DefaultCPUAllocator", "not enough memory", "Cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or a CPU; the CPU's allocator has no error class of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in CPU_WORDS)


def release() -> None:
    """Give what torch holds in reserve back, so that smaller pieces find a place."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def explained(advice: str) -> Iterator[None]:
    """An allocation that fails inside ends the run with `advice`.

    Raises:
        RunFailedError: if memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailedError(f"The memory does not suffice. {advice}") from error


@contextmanager
def recomputed_activations(backbone: nn.Module, *, on: bool) -> Iterator[None]:
    """Keep no activations inside the decoder's layers, but compute them again for the gradient, if `on`.

    transformers does so in training mode alone, and we train in evaluation mode, without dropout. Hence the mode of
    the layers themselves is set, and of nothing inside them.

    Raises:
        RunFailedError: if the decoder has no layers that could.
    """
    layers = [module for module in backbone.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not on:
        yield
        return
    if not layers:
        raise RunFailedError(
            f"{type(backbone).__name__} has no layers whose activations could be computed again; set "
            "gradient_checkpointing to off."
        )
    untyped: Any = backbone
    decoder: Any = untyped.get_base_model() if hasattr(untyped, "get_base_model") else untyped
    decoder.activation_checkpointing_enable({"use_reentrant": False})
    try:
        for layer in layers:
            layer.training = True
        yield
    finally:
        for layer in layers:
            layer.training = False
        decoder.activation_checkpointing_disable()
