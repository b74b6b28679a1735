"""A model folder: who is in it, their facesets, and the trained weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..durable import hash_file, make_folders, write_json, writing
from ..errors import DataError, UnderstudyError
from ..faces.alignments import FILE_NAME
from ..faces.facesets.faceset import Faceset, gather, load_faceset
from ..protocol import Identity, Network, Preset, TrainSettings, from_json, parse_json
from ..reading import read_text, require_regular
from ..reporter import Part, Reporter
from .draft.gaze import irises
from .networks.refiner_network import SIZES, upgrade_weights
from .networks.shared_encoder import Net, make_network

SCHEMA = 1
DRAFT_FACES = 256
MAX_CROP = 768


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """`model.json`: what a model is made of. `steps` and `minutes` are the training so far, `settings` those it had."""

    schema: int
    preset: Preset
    identities: list[str]
    material: list[list[str]]
    steps: int = 0
    minutes: float = 0.0
    network: Network = "refine"
    settings: TrainSettings = field(default_factory=TrainSettings)


def faceset_size(preset: Preset) -> int:
    """Side of the crops kept for a preset: twice what its network sees, for the draft's finer detail."""
    return min(MAX_CROP, 2 * SIZES[preset][0]) if preset in SIZES else DRAFT_FACES


def read_card(folder: Path) -> ModelCard:
    """Read `model.json`. Raises DataError with what to do."""
    path = folder / "model.json"
    if not path.is_file():
        raise DataError(f"{folder} holds no model. Train one first, or point to where it was moved.")
    try:
        card = from_json(ModelCard, parse_json(read_text(path)))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). Train the model again.") from None
    if card.schema != SCHEMA:
        raise DataError(f"{folder} is a model of version {card.schema}; this Understudy reads version {SCHEMA}.")
    return card


def write_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json` in one step."""
    write_json(folder / "model.json", asdict(card))


def faceset_path(folder: Path, card: ModelCard, name: str) -> Path:
    """Where an identity's faceset lies; names are the user's, so files are numbered."""
    return folder / "facesets" / f"{card.identities.index(name)}.faceset"


def prepare(
    folder: Path,
    identities: list[Identity],
    preset: Preset,
    report: Reporter,
    network: Network = "refine",
    device: torch.device | None = None,
) -> ModelCard:
    """Make or check a model folder: gather the facesets of all identities that are new or changed, with their irises.

    People may be added to a model that is there; they come after those it knows. Nothing is written before all
    are gathered. Raises DataError where the folder holds a model of other people, another preset or network,
    UnderstudyError where `folder` cannot be one.
    """
    if any(place.exists() and not place.is_dir() for place in (folder, *folder.parents)):
        raise UnderstudyError(f"{folder} cannot be a model's folder, a file is there. Choose another name.")
    names = [i.name for i in identities]
    if len(set(names)) != len(names) or not names:
        raise DataError("Every identity needs a name of its own. Rename one of them.")
    if not all(i.name and i.material for i in identities):
        raise DataError("Every identity needs a name and footage that shows them. Add what is missing.")
    material = [[_fingerprint(m.scan, m.person) for m in i.material] for i in identities]
    card = ModelCard(schema=SCHEMA, preset=preset, identities=names, material=material, network=network)
    old = read_card(folder) if (folder / "model.json").is_file() else None
    changed = set(names)
    if old:
        if not set(old.identities) <= set(names):
            raise DataError(
                f"{folder} already holds a model of {', '.join(old.identities)}. Choose another folder for this one, "
                "or name all of them, and whoever is new."
            )
        if old.preset not in ("draft", preset) and preset != "draft":
            raise DataError(
                f"{folder} already holds a model of the preset {old.preset}. Choose another folder for {preset}."
            )
        if network != old.network and "draft" not in (preset, old.preset):
            raise DataError(
                f"{folder} already holds a model with the network {old.network}. "
                f"Choose another folder for one with {network}."
            )
        shown = dict(zip(names, material, strict=True))
        order = [*old.identities, *(n for n in names if n not in old.identities)]
        card = replace(
            old,
            preset=old.preset if preset == "draft" else preset,
            network=old.network if preset == "draft" else network,
            identities=order,
            material=[shown[n] for n in order],
        )
        if (faceset_size(old.preset), old.network) == (faceset_size(card.preset), card.network):
            before = dict(zip(old.identities, old.material, strict=True))
            changed = {n for n in order if before.get(n) != shown[n]}
    new = [i for i in identities if i.name in changed]
    gathered = [
        gather(
            identity,
            faceset_size(card.preset),
            Part(report, n / len(new), (n + 1) / len(new)),
            with_coarse=card.network == "shared",
        )
        for n, identity in enumerate(new)
    ]
    # kept with the faces, or every training, preview and conversion would have to measure their irises first
    where = device or torch.device("cpu")
    gathered = [replace(f, irises=irises(f.pixels, f.landmarks, where)) for f in gathered]
    make_folders(folder / "facesets")
    for faceset in gathered:
        faceset.save(faceset_path(folder, card, faceset.name))
    write_card(folder, card)
    return card


def facesets(folder: Path, card: ModelCard) -> list[Faceset]:
    """Every identity's faceset, in the model's order."""
    return [load_faceset(faceset_path(folder, card, name)) for name in card.identities]


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors with a JSON header in one step."""
    plain = {k: v.detach().contiguous().cpu() for k, v in tensors.items()}
    with writing(path) as partial:
        save_file(plain, partial, {"understudy": json.dumps(facts)})


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, a network of an earlier plan widened to today's.

    Raises DataError when it is missing or damaged, or some of its numbers are not finite: such a network makes no
    face, and what it makes would go unnoticed as the face that was there.
    """
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            facts = parse_json(file.metadata()["understudy"])
            if not isinstance(facts, dict):
                raise ValueError("its header is no object")
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            for name, tensor in tensors.items():
                if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
                    raise ValueError(f"{name} holds numbers that are not finite")
            return upgrade_weights(tensors), facts
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}). Train the model again.") from None


def named_weights(weights: dict[str, torch.Tensor], known: list[str], names: list[str]) -> dict[str, torch.Tensor]:
    """A network's weights for the people `names` out of those of a network for the people `known`.

    Whoever that one does not know begins with the mean of its decoders, which is a face like any other.
    """
    if known == names:
        return weights
    result = {k: v for k, v in weights.items() if not k.startswith("decoders.")}
    keys = [k.removeprefix("decoders.0.") for k in weights if k.startswith("decoders.0.")]
    for number, name in enumerate(names):
        for key in keys:
            own = known.index(name) if name in known else None
            theirs = [weights[f"decoders.{n}.{key}"] for n in (range(len(known)) if own is None else [own])]
            result[f"decoders.{number}.{key}"] = torch.stack(theirs).mean(0)
    return result


def load_refiner(folder: Path, card: ModelCard) -> Net | None:
    """The trained network on the CPU in evaluation mode, or None for a draft, which has none.

    Raises DataError when it was never trained, or its file is damaged.
    """
    if card.preset == "draft":
        return None
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise DataError(f"The model {folder} was never trained. Train it, or recast as a draft (--draft).")
    refiner = make_network(card.network, len(card.identities), *SIZES[card.preset])
    tensors, facts = load_tensors(path)
    try:
        refiner.load_state_dict(named_weights(tensors, list(facts.get("identities", card.identities)), card.identities))
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not fit its model.json ({error}). Train the model again.") from None
    return refiner.eval()


def _fingerprint(scan: str, person: int) -> str:
    path = Path(scan) / FILE_NAME
    if not path.is_file():
        raise DataError(f"{scan} holds no finished scan. Scan the clip first.")
    return f"{hash_file(path)}:{person}"
