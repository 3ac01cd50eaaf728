"""Models as somebody names them on the command line: a version of this house, or any directory.

Knows rows, directories and manifests. Must not know what is done with the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotation.errors import ConflictError, NotFoundError
from rewardmodel.core.files import MANIFEST, ManifestError, read_manifest
from rewardmodel.queries import version_named
from training.models import PolicyVersion
from training.services.references import policy_reference, reward_model_reference


def reward_model_called(
    word: str, *, backbone: Path | None = None, backbone_base: Path | None = None
) -> dict[str, Any]:
    """The reference, as the cores read it, of a reward model: by the name of a version, else by its directory.

    `backbone` is the directory of the policy that it stands on, for a model whose policy this house does not know, and
    `backbone_base` that of the base weights where `backbone` is an adapter. The database is not asked about a directory
    with a backbone.

    Raises:
        NotFoundError: there is neither, or its policy is not known.
        ConflictError: the directory holds no reward model.
    """
    directory = Path(word).absolute()
    if backbone is not None and (directory / MANIFEST).is_file():
        return _reference(directory, _given(backbone, backbone_base))
    version = version_named(word)
    if version is not None:
        found = reward_model_reference(version)
        return found if backbone is None else {**found, "backbone": _given(backbone, backbone_base)}
    if not (directory / MANIFEST).is_file():
        raise NotFoundError(f"There is no reward model named {word!r}, and no directory of one there.")
    name = _manifest(directory)["backbone"]["name"]
    policy = PolicyVersion.objects.select_related("adapter_on").filter(name=name).first()
    if policy is None:
        raise NotFoundError(
            f"The reward model stands on {name}, which is no policy of this house. Name the policy's directory with "
            "--backbone."
        )
    return _reference(directory, policy_reference(policy))


def policy_called(word: str) -> dict[str, Any]:
    """The reference, as the cores read it, of a policy: by the name of a version, else by its directory.

    Raises:
        NotFoundError: there is neither.
    """
    policy = PolicyVersion.objects.select_related("adapter_on").filter(name=word).first()
    if policy is not None:
        return policy_reference(policy)
    directory = Path(word).absolute()
    if not (directory / "config.json").is_file():
        raise NotFoundError(f"There is no policy named {word!r}, and no directory of whole weights there.")
    return {"name": directory.name, "path": str(directory), "base": None}


def _reference(directory: Path, backbone: dict[str, Any]) -> dict[str, Any]:
    manifest = _manifest(directory)
    return {
        "name": str(manifest.get("name") or directory.name),
        "path": str(directory),
        "backbone": {**backbone, "name": backbone["name"] or manifest["backbone"]["name"]},
    }


def _given(backbone: Path, base: Path | None) -> dict[str, Any]:
    for place in (backbone, *([base] if base else [])):
        if not place.is_dir():
            raise NotFoundError(f"There is no directory {place}.")
    return {
        "name": backbone.name,
        "path": str(backbone.absolute()),
        "base": None if base is None else str(base.absolute()),
    }


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest = read_manifest(directory)
    except ManifestError as error:
        raise ConflictError(f"{directory} cannot be opened: {error}.") from error
    if manifest.get("kind") != "reward_model" or "name" not in manifest.get("backbone", {}):
        raise ConflictError(f"{directory} is not the directory of a reward model.")
    return manifest
