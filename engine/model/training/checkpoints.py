"""What a training leaves on disk, so that nothing is ever lost: checkpoints, and the weights that conversion reads."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import DataError, UnderstudyError
from ...reporter import Reporter, Silent
from ..model_folder import ModelCard, load_tensors, named_weights, save_tensors, write_card
from ..networks.refiner_network import SIZES
from .convergence import Score
from .training_step import Training, new_training, rng_state

CHECKPOINTS_KEPT = 3
"""Checkpoints kept: the newest, and those before it in case it is damaged."""


def checkpoint_files(folder: Path) -> list[Path]:
    """Where checkpoints lie, newest first."""
    return [
        folder / "checkpoint.safetensors",
        *(folder / f"checkpoint-{n}.safetensors" for n in range(1, CHECKPOINTS_KEPT)),
    ]


def is_finite(training: Training) -> bool:
    """Whether all weights are finite."""
    networks = filter(None, (training.refiner, training.finishing.critic))
    return all(bool(torch.isfinite(p).all()) for network in networks for p in network.parameters())


def save_checkpoint(folder: Path, card: ModelCard, training: Training) -> ModelCard:
    """Write a checkpoint and the card; the ones before are kept. Raises DataError when weights are NaN or infinite."""
    if not is_finite(training):
        raise DataError("The weights became NaN. Start again: it goes on from its checkpoint.")
    tensors = {f"model.{k}": v for k, v in training.refiner.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in training.average.state_dict().items()}
    tensors |= _optimiser_tensors("optimiser.", training.refiner, training.optimiser)
    critic = training.finishing
    if critic.critic and critic.optimiser:
        tensors |= {f"critic.{k}": v for k, v in critic.critic.state_dict().items()}
        tensors |= _optimiser_tensors("critic-optimiser.", critic.critic, critic.optimiser)
    tensors["generator"] = rng_state(training)
    facts = _facts(card, training) | {
        "seconds": training.seconds,
        "rate": training.rate,
        "factor": training.factor,
        "scores": [asdict(s) for s in training.scores],
    }
    aside = folder / "checkpoint.new"
    save_tensors(aside, tensors, facts)
    files = checkpoint_files(folder)
    for newer, older in reversed(list(pairwise(files))):
        if newer.is_file():
            newer.replace(older)
    aside.replace(files[0])
    card = replace(card, steps=training.step, minutes=round(training.seconds / 60, 3))
    write_card(folder, card)
    return card


def _optimiser_tensors(prefix: str, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser remembers, as `prefix`, what it is, and the parameter's name."""
    names = {id(p): n for n, p in network.named_parameters()}
    return {f"{prefix}{key}.{names[id(p)]}": v for p, state in optimiser.state.items() for key, v in state.items()}


def _restore_optimiser(
    optimiser: torch.optim.Optimizer, parameter: nn.Parameter, prefix: str, name: str, tensors: dict[str, torch.Tensor]
) -> None:
    """Give an optimiser back what `_moments` kept of a parameter by this name, if anything."""
    if f"{prefix}step.{name}" not in tensors:
        return
    # in the parameter's own memory layout: the fused optimiser walks them side by side
    state = {k: tensors[f"{prefix}{k}.{name}"] for k in ("exp_avg", "exp_avg_sq")}
    if any(v.shape != parameter.shape for v in state.values()):
        raise ValueError(f"{name} has another shape")
    optimiser.state[parameter] = {
        "step": tensors[f"{prefix}step.{name}"].to(parameter.device, copy=True),
        **{k: torch.empty_like(parameter).copy_(v) for k, v in state.items()},
    }


def export_weights(folder: Path, card: ModelCard, training: Training) -> None:
    """Write the averaged weights as those that conversion uses."""
    save_tensors(folder / "weights.safetensors", training.average.state_dict(), _facts(card, training))


def new_training_for(card: ModelCard, device: torch.device) -> Training:
    """A new training of a model that is described by its card."""
    size, width = SIZES[card.preset]
    return new_training(len(card.identities), width, device, card.network, size, card.settings)


def resume(folder: Path, card: ModelCard, device: torch.device, report: Reporter | None = None) -> Training | None:
    """The training as its last good checkpoint left it, or None where there is none.

    A damaged checkpoint is passed over, and said. Raises DataError when all are damaged.
    """
    failure: DataError | None = None
    for path in checkpoint_files(folder):
        if not path.is_file():
            continue
        try:
            training = _load(path, card, device)
        except DataError as error:
            failure = failure or error
            continue
        if failure:
            (report or Silent()).log(f"{failure} Going on from step {training.step} instead.", "warning")
        return training
    if failure:
        raise failure
    return None


def _load(path: Path, card: ModelCard, device: torch.device) -> Training:
    tensors, facts = _upgraded(*load_tensors(path))
    training = new_training_for(card, device)
    try:
        known = list(facts.get("identities", card.identities))
        for network, prefix in ((training.refiner, "model."), (training.average, "average.")):
            weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            network.load_state_dict(named_weights(weights, known, card.identities))
        numbers = {str(n): str(known.index(name)) for n, name in enumerate(card.identities) if name in known}
        for name, parameter in training.refiner.named_parameters():
            part = name.split(".")
            if part[0] == "decoders":
                if part[1] not in numbers:
                    continue  # new in the model: its decoder's optimiser starts afresh
                part[1] = numbers[part[1]]
            old = ".".join(part)
            _restore_optimiser(training.optimiser, parameter, "optimiser.", old, tensors)
        critic = training.finishing
        if critic.critic and critic.optimiser and any(k.startswith("critic.") for k in tensors):  # else it is new
            critic.critic.load_state_dict(
                {k.removeprefix("critic."): v for k, v in tensors.items() if k.startswith("critic.")}
            )
            for name, parameter in critic.critic.named_parameters():
                _restore_optimiser(critic.optimiser, parameter, "critic-optimiser.", name, tensors)
        training.generator.set_state(tensors["generator"])
        training.step, training.seconds, training.rate = (
            int(facts["step"]),
            float(facts["seconds"]),
            float(facts["rate"]),
        )
        training.factor = int(facts.get("factor", 1))
        if known == card.identities:  # scores of other swaps do not compare
            training.scores = [Score(**s) for s in facts["scores"]]
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not fit this model ({error}). Delete it to train anew.") from None
    return training


def _upgraded(
    tensors: dict[str, torch.Tensor], facts: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A checkpoint of the time before averages, rates and scores were kept: the network is its own average so far."""
    if any(k.startswith("average.") for k in tensors):
        return tensors, facts
    averages = {f"average.{k.removeprefix('model.')}": v for k, v in tensors.items() if k.startswith("model.")}
    return tensors | averages, {"rate": 1.0, "scores": [], **facts}


def warm_start(other: Path, other_card: ModelCard, card: ModelCard, device: torch.device) -> Training:
    """A new training that begins with what another model has learned.

    People that both know bring their decoders; the others begin with the mean of that model's decoders.
    Raises DataError when the other was never trained, UnderstudyError when its preset is another.
    """
    if (other_card.preset, other_card.network) != (card.preset, card.network):
        raise UnderstudyError(
            f"{other} is a model of the preset {other_card.preset} and the network {other_card.network}, not "
            f"{card.preset} and {card.network}. Begin from a model of the same preset and network, or without one."
        )
    tensors, facts = load_tensors(other / "weights.safetensors")
    training = new_training_for(card, device)
    weights = named_weights(tensors, list(facts.get("identities", other_card.identities)), card.identities)
    try:
        training.refiner.load_state_dict(weights)
        training.average.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{other} holds a network that does not fit ({error}). Begin from another model.") from None
    return training


def _facts(card: ModelCard, training: Training) -> dict[str, object]:
    return {"schema": 1, "preset": card.preset, "identities": card.identities, "step": training.step}
