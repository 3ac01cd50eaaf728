"""How large a model is and how fast a machine: what an estimate of memory and time is made from.

Knows config.json, LLAMA-2's published shapes and vendors' data sheets. Must not know kinds of run or formulas of cost,
nor import torch: the web process reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

GIB: Final = 2**30
TERA: Final = 1e12

# What is sustained of a data sheet's peak. Training: 38 to 43 % of the peak in bfloat16 (Llama 3, arXiv 2407.21783,
# Table 4). The other two are ours, and cautious.
TRAINED: Final = 0.4
READ: Final = 0.4  # prompts and scoring: large matrix products, as in training
FETCHED: Final = 0.6  # of the memory's bandwidth, while one token after the other is decoded

# A core of a CPU with AVX2, in float32: `make bench-rm` reaches some 40 GFLOP/s a core in a whole step.
CORE_FLOPS: Final = 40e9
CORE_BANDWIDTH: Final = 5e9  # bytes a second


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A decoder of the Llama kind. Widths and the vocabulary are in numbers, not bytes.

    Attributes:
        inner: width inside the feed-forward block.
        kv_width: width of a token's keys, and of its values, in one layer.
        tied: the LM head is the embedding.
    """

    name: str
    parameters: int
    layers: int
    width: int
    inner: int
    kv_width: int
    vocabulary: int
    tied: bool = False

    @property
    def embeddings(self) -> int:
        """Parameters of the embedding and of the LM head."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def layer_parameters(self) -> int:
        return (self.parameters - self.embeddings) // self.layers

    def adapters(self, rank: int) -> int:
        """Parameters of low-rank adapters (Hu et al. 2021) on every linear layer but the head: in + out, times rank."""
        attention = 2 * 2 * self.width + 2 * (self.width + self.kv_width)
        return rank * self.layers * (attention + 3 * (self.width + self.inner))

    def cache_bytes(self, bytes_a_number: float) -> float:
        """Keys and values of one token in all layers."""
        return 2 * self.layers * self.kv_width * bytes_a_number

    def forward_flops(self, length: float) -> float:
        """FLOP to read one token of a row of `length`.

        2 a parameter (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), and 4 times the width a layer for every token
        that is attended to, on average half of the row.
        """
        return 2 * self.parameters + 2 * self.layers * self.width * length


def _counted(
    name: str, *, layers: int, width: int, inner: int, kv_width: int, vocabulary: int, tied: bool, heads: int
) -> ModelSize:
    """`heads` is the width of all query heads together, which is not `width` in every family."""
    attention = 2 * width * heads + 2 * width * kv_width
    layer = attention + 3 * width * inner + 2 * width
    embeddings = vocabulary * width * (1 if tied else 2)
    return ModelSize(
        name, layers * layer + embeddings + width, layers, width, inner, kv_width, vocabulary, tied
    )


def llama(billions: int) -> ModelSize:
    """LLAMA-2 of 7, 13 or 70 billion parameters (Touvron et al. 2023, section 2 and its released configurations).

    Raises:
        ValueError: there is no such size.
    """
    shapes = {7: (32, 4096, 11008, 4096), 13: (40, 5120, 13824, 5120), 70: (80, 8192, 28672, 1024)}
    if billions not in shapes:
        raise ValueError(f"LLAMA-2 has no {billions}b; there are {', '.join(f'{b}b' for b in shapes)}")
    layers, width, inner, kv_width = shapes[billions]
    return _counted(
        f"{billions}b",
        layers=layers,
        width=width,
        inner=inner,
        kv_width=kv_width,
        vocabulary=32_000,
        tied=False,
        heads=width,
    )


def of_config(path: Path) -> ModelSize:
    """The size by a config.json, or by the one of a model's folder; a folder is never changed, so it is read once.

    Raises:
        ValueError: there is none, or it does not describe a decoder of the Llama kind.
    """
    return _read(path / "config.json" if path.is_dir() else path)


@lru_cache(maxsize=256)
def _read(file: Path) -> ModelSize:
    try:
        config: Mapping[str, Any] = json.loads(file.read_bytes())
        heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
        head_width = int(config.get("head_dim") or width // heads)
        return _counted(
            file.parent.name,
            layers=int(config["num_hidden_layers"]),
            width=width,
            inner=int(config["intermediate_size"]),
            kv_width=head_width * int(config.get("num_key_value_heads") or heads),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            heads=head_width * heads,
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} does not tell the size of a decoder: {error}") from error


@dataclass(frozen=True, slots=True)
class Machine:
    """`count` equal devices. Speeds are what one of them sustains, in FLOP and bytes a second.

    Attributes:
        trained: FLOP a second while training.
        read: FLOP a second while prompts are read and responses scored.
        fetched: bytes a second while tokens are decoded, each of which wants all weights once.
        bytes_a_number: of weights and cached states that are not learnt.
    """

    name: str
    memory_bytes: int
    trained: float
    read: float
    fetched: float
    bytes_a_number: int = 2
    count: int = 1

    def times(self, count: int) -> Machine:
        return replace(self, count=count)

    @property
    def is_cpu(self) -> bool:
        return self.name == CPU


def _gpu(name: str, gib: int, peak: float, gigabytes_a_second: float) -> Machine:
    """By its data sheet: memory, dense bfloat16 FLOP a second, bandwidth."""
    return Machine(name, gib * GIB, TRAINED * peak, READ * peak, FETCHED * gigabytes_a_second * 1e9)


# NVIDIA's data sheets: L4, GeForce RTX 4090 (Ada whitepaper), A100 80GB SXM, H100 SXM, H200 SXM.
GPUS: Final[Mapping[str, Machine]] = MappingProxyType(
    {
        "l4": _gpu("l4", 24, 121 * TERA, 300),
        "rtx4090": _gpu("rtx4090", 24, 165 * TERA, 1008),
        "a100": _gpu("a100", 80, 312 * TERA, 2039),
        "h100": _gpu("h100", 80, 989 * TERA, 3350),
        "h200": _gpu("h200", 139, 989 * TERA, 4800),
    }
)
CPU: Final = "cpu"


def machine_called(name: str) -> Machine:
    """A GPU of the table by its name, or `cpu` for this machine without one.

    Raises:
        ValueError: the table has no such GPU.
    """
    if name in GPUS:
        return GPUS[name]
    if name != CPU:
        raise ValueError(f"no figures are known of {name!r}; choose {CPU}, {', '.join(GPUS)}")
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    flops = cores * CORE_FLOPS
    return Machine(CPU, memory, flops, flops, cores * CORE_BANDWIDTH, bytes_a_number=4)
