"""The identities of a model, made ready to appear."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import DataError
from ..faces.facesets.faceset import Faceset
from ..model.draft.views import make_views
from ..model.model_folder import ModelCard, facesets, load_refiner, read_card
from ..model.networks.refiner_network import SIZES
from ..model.networks.shared_encoder import Net
from ..model.recast import Source
from ..model.training.trainer import canonical_shape


def load_sources(folder: Path, names: set[str], device: torch.device, use_refiner: bool) -> dict[str, Source]:
    """Make the wanted identities of a model ready to appear.

    Raises DataError when the model does not know one of them, or lacks its files.
    """
    card = read_card(folder)
    require_known(card, names)
    refiner = load_refiner(folder, card) if use_refiner else None
    if refiner is not None:
        refiner = refiner.to(device)
    return make_sources(card, facesets(folder, card), refiner, names, device)


def require_known(card: ModelCard, names: set[str]) -> None:
    """Raise DataError when the model does not know one of the names."""
    for name in sorted(names):
        if name not in card.identities:
            raise DataError(f"This model does not know {name}, but {', '.join(card.identities)}. Train one that does.")


def make_sources(
    card: ModelCard, sets: list[Faceset], refiner: Net | None, names: set[str], device: torch.device
) -> dict[str, Source]:
    """The wanted identities of a model from its facesets, in the card's order, and its network on the device.

    Drafts are made of faces on which the mesh holds.
    """
    sets = [faceset.measured() for faceset in sets]
    size = SIZES[card.preset][0] if card.preset in SIZES else 0
    shape = canonical_shape(sets).to(device)
    known = enumerate(zip(card.identities, sets, strict=True))  # the card's names, not those in the facesets' files
    return {
        name: Source(make_views(faceset, device), refiner, number, size, shape)
        for number, (name, faceset) in known
        if name in names
    }
