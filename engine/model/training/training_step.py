"""One training: its network, optimiser and random state, and one step of it."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import nn

from ...errors import UnderstudyError
from ...protocol import Network, TrainSettings
from ...reporter import Reporter
from ..networks.losses import detail_loss, face_loss, mask_loss
from ..networks.perceptual_losses import (
    PerceptualNetworks,
    critic_due,
    make_perceptual,
    perceptual_due,
    perceptual_loss,
)
from ..networks.precision import Inputs, Run, autocast
from ..networks.refiner_network import mirrored_input
from ..networks.shared_encoder import Net, Shared, draw_crops, make_network, render_for
from .convergence import Score
from .dataset import Draws, TrainingSet, draw

BATCH_SIZE = 8
"""Faces of each identity in one step."""
MAX_JOINT_BATCH = 64
"""Faces of all identities together in one step, at most; with many of them, each gets fewer."""
MANY_FACES, OWN_SHARE = 100, (0.25, 0.5)
"""Part of a decoder's batch is borrowed from the model's other people (the draft says whose face it is), or it learns
one person's usual face by heart and shows that where another performance calls for more. The shares of its own are
those of a single picture and of this many faces."""
LEARNING_RATE = 1e-3
WARM_UP_STEPS = 30
DECAY_STEPS = 3000
"""Steps after which the rate has come down to 0.7 of what it was; it falls with the square root."""
BATCH_REPEATS = 2
"""Steps for which the pictures of a batch are used, every other time mirrored: making them takes a fifth of a step."""
EMA_DECAY = 0.999
"""How much of the averaged weights, which are what a training puts out, each step keeps in the long run."""


BatchInputs = tuple[Inputs, list[torch.Tensor]]
"""What the network is called with, and truth, mask and weight of all faces, one identity's after the other's."""


@dataclass
class Training:
    """Everything that a checkpoint keeps. `average` are the weights that are put out; `rate` scales the learning rate.

    `drawn` is the batch last drawn, `batch_rng` the random state before it, `inputs` its pictures, a list of its parts.
    `parts` is in how many goes a batch is computed, doubled when memory runs out; `factor` how many usual batches a
    step's is made of, more than one where a graphics card has the memory.
    """

    refiner: Net
    average: Net
    optimiser: torch.optim.AdamW
    generator: torch.Generator
    finishing: PerceptualNetworks
    step: int = 0
    seconds: float = 0.0
    rate: float = 1.0
    scores: list[Score] = field(default_factory=list)
    parts: int = 1
    factor: int = 1
    network: Run | None = None
    drawn: Batch | None = None
    batch_rng: torch.Tensor | None = None
    inputs: list[BatchInputs] = field(default_factory=list)


def new_training(
    identities: int,
    width: int,
    device: torch.device,
    network: Network = "refine",
    size: int = 128,
    settings: TrainSettings | None = None,
) -> Training:
    """A new training of a network of this kind for crops of `size`; the same seed every time."""
    torch.manual_seed(0)
    refiner = make_network(network, identities, size, width).to(device)
    refiner = refiner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    average = copy.deepcopy(refiner).requires_grad_(False)
    optimiser = torch.optim.AdamW(refiner.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    finishing = make_perceptual(settings or TrainSettings(), width, device)
    return Training(refiner, average, optimiser, torch.Generator().manual_seed(0), finishing)


def ranks() -> tuple[int, int]:
    """This process's number and how many train together (`torchrun`); 0, 1 alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def join_ranks() -> int:
    """Join the other processes when `torchrun` started several; this process's number."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return ranks()[0]


def barrier() -> None:
    """Wait until all processes get here."""
    if ranks()[1] > 1:
        dist.barrier()


def leave_ranks() -> None:
    """Leave the process group together, so that none ends while another still communicates."""
    if ranks()[1] > 1:
        barrier()
        dist.destroy_process_group()


def batch_size(identities: int) -> int:
    """Faces of each identity in one step."""
    return max(2, min(BATCH_SIZE, MAX_JOINT_BATCH // identities))


def own_share(count: int, batch: int = BATCH_SIZE) -> int:
    """How many of a decoder's batch are of its own identity, which has `count` faces."""
    low, high = OWN_SHARE
    return round(batch * (low + (high - low) * min(1.0, count / MANY_FACES)))


@dataclass(frozen=True)
class Batch:
    """One step's faces: of each identity, in their order, those drawn of it, each made and encoded once.

    rows, for each decoder, are those of all these faces, one identity's after the other's, that it is trained on:
    (B,) int64 on the CPU, its own first. own (B,) bool says which are its own and show the truth.
    """

    drawn: list[Draws]
    rows: list[torch.Tensor]
    own: list[torch.Tensor]

    def part(self, which: slice) -> Batch:
        """Some of each decoder's faces, and no others than theirs."""
        if which == slice(0, None, 1):
            return self
        rows = [r[which] for r in self.rows]
        used, back = torch.unique(torch.cat(rows), return_inverse=True)
        first = torch.tensor([0, *(len(d) for d in self.drawn)]).cumsum(0)
        drawn = [d.part(used[(used >= f) & (used < f + len(d))] - f) for d, f in zip(self.drawn, first, strict=False)]
        return Batch(drawn, list(torch.split(back, [len(r) for r in rows])), [o[which] for o in self.own])


def draw_all(
    materials: list[TrainingSet], generator: torch.Generator, network: Net | None = None, factor: int = 1
) -> Batch:
    """One step's batch: every decoder's own identity first, the rest borrowed from one of the others.

    What is borrowed was drawn for its own decoder: making and encoding a face costs as much as decoding it.
    The shared encoder's decoders get their own faces only: nothing but their own face must come out of them.
    """
    count = len(materials)
    batch = factor * batch_size(count)
    if isinstance(network, Shared):
        crops = [draw_crops(materials, number, batch, generator) for number in range(count)]
        rows = list(torch.split(torch.arange(count * batch), batch))
        return Batch(crops, rows, [d.own for d in crops])
    shares = [own_share(len(m.views), batch) if count > 1 else batch for m in materials]
    lenders = [int(torch.randint(max(1, count - 1), (1,), generator=generator)) for _ in materials]
    lenders = [(lender + (lender >= number)) % count for number, lender in enumerate(lenders)]
    borrowed = [batch - own for own in shares]  # as many as anybody may want: a compiled network likes steady shapes
    sizes = [max([own, *borrowed[:n], *borrowed[n + 1 :]]) for n, own in enumerate(shares)]
    first = torch.tensor([0, *sizes]).cumsum(0).tolist()
    rows = [
        torch.cat([first[n] + torch.arange(shares[n]), first[lenders[n]] + torch.arange(borrowed[n])])
        for n in range(count)
    ]
    drawn = [draw(materials, [(number, size)], number, generator) for number, size in enumerate(sizes)]
    return Batch(drawn, rows, [torch.arange(batch) < own for own in shares])


def step(training: Training, materials: list[TrainingSet], shape: torch.Tensor, report: Reporter) -> torch.Tensor:
    """One step for all identities; returns their losses on their own faces (identities,), still on the device.

    Where memory runs out, the batch is computed in twice as many parts from then on.
    Raises UnderstudyError when even single faces do not fit.
    """
    rate = (
        LEARNING_RATE
        * training.rate
        * min(1.0, (training.step + 1) / WARM_UP_STEPS)
        / (1 + training.step / DECAY_STEPS) ** 0.5
    )
    for group in training.optimiser.param_groups:
        group["lr"] = rate
    batch = _next_batch(training, materials)
    while True:
        for optimiser in filter(None, (training.optimiser, training.finishing.optimiser)):
            optimiser.zero_grad(set_to_none=True)
        try:
            losses = _gradients(training, materials, batch, shape)
            break
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        if training.parts * ranks()[1] >= min(len(r) for r in batch.rows):
            raise UnderstudyError(
                "There is not enough memory to train this model. Close other programs, or choose a smaller preset."
            )
        training.parts *= 2
        training.inputs = []
        if shape.device.type == "cuda":
            torch.cuda.empty_cache()
        report.log(f"Memory ran out: each batch is computed in {training.parts} parts from now on.", "warning")
    torch.nn.utils.clip_grad_norm_(training.refiner.parameters(), 1.0)
    training.optimiser.step()
    _step_critic(training)
    training.step += 1
    keep = min(EMA_DECAY, (1 + training.step) / (10 + training.step))
    with torch.no_grad():
        torch._foreach_lerp_(list(training.average.parameters()), list(training.refiner.parameters()), 1 - keep)
    return losses


def rng_state(training: Training) -> torch.Tensor:
    """The random state from which an interrupted training draws the same batches again."""
    if training.step % BATCH_REPEATS and training.batch_rng is not None:
        return training.batch_rng
    return training.generator.get_state()


def _next_batch(training: Training, materials: list[TrainingSet]) -> Batch:
    """This step's batch: a new one, or the last one again."""
    if training.drawn is None or not training.step % BATCH_REPEATS:
        training.batch_rng = training.generator.get_state()
        training.drawn = draw_all(materials, training.generator, training.refiner, training.factor)
        training.inputs = []
    return training.drawn


def _batch_inputs(
    training: Training, materials: list[TrainingSet], part: int, share: Batch, shape: torch.Tensor
) -> BatchInputs:
    """The pictures of one part of this step's batch, made or kept."""
    if len(training.inputs) <= part:
        training.inputs.append(make_inputs(training.refiner, materials, share, shape))
    return mirrored_batch(training.inputs[part]) if training.step % 2 else training.inputs[part]


def _gradients(training: Training, materials: list[TrainingSet], batch: Batch, shape: torch.Tensor) -> torch.Tensor:
    """Add up the gradients of this process's share of a batch, part by part; losses as `step` returns them."""
    rank, world = ranks()
    network = training.network or training.refiner
    parts = training.parts * world
    looked_at = perceptual_due(training.finishing, training.step)
    losses = torch.zeros(len(materials), device=shape.device)
    for part in range(training.parts):
        share = batch.part(slice(part * world + rank, None, parts))
        inputs, pictures = _batch_inputs(training, materials, part, share, shape)
        with autocast(shape.device):
            results = network(*inputs)
        total = torch.zeros((), device=shape.device)
        owned_faces = []
        for number, (result, whole, own, rows) in enumerate(zip(results, batch.own, share.own, inputs[1], strict=True)):
            assert result is not None
            truth, mask, weight = (x.index_select(0, rows) for x in pictures)
            face, logits, _ = result
            loss = face_loss(face, truth, weight) + detail_loss(face, truth, weight)
            edge = mask_loss(logits, mask)
            owned = (own.float() / whole.sum().clamp(min=1)).to(shape.device, non_blocking=True)
            total = total + loss.sum() / len(whole) + 0.1 * (edge * owned).sum()
            losses[number] += (loss * owned).sum().detach()
            if looked_at and own.any():
                mine = [n for n, its_own in enumerate(own.tolist()) if its_own]
                owned_faces.append([x[mine] for x in (face, truth, weight.clamp(max=1))])
        if owned_faces:
            columns = [torch.cat(column) for column in zip(*owned_faces, strict=True)]
            face, truth, within = columns
            each = 1 / sum(len(o) for o in batch.own)
            finished = perceptual_loss(training.finishing, training.step, face, truth, within, each)
            total = total + len(batch.own) * each * finished.sum()
        last = part == training.parts - 1
        if isinstance(network, nn.parallel.DistributedDataParallel) and not last:
            with network.no_sync():
                torch.autograd.backward(total * world)
        else:
            torch.autograd.backward(total * world)  # DDP takes the mean over processes; each has a part of the sum
    return losses


def _step_critic(training: Training) -> None:
    """The critic's own step, where it was due, with the gradients that all processes found."""
    critic, optimiser = training.finishing.critic, training.finishing.optimiser
    if critic is None or optimiser is None or not critic_due(training.finishing, training.step):
        return
    if ranks()[1] > 1:
        for parameter in critic.parameters():
            if parameter.grad is None:  # this process had no face of anybody's own to show it
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
    optimiser.step()


def make_inputs(network: Net, materials: list[TrainingSet], batch: Batch, shape: torch.Tensor) -> BatchInputs:
    """What the network is called with, and truth, mask and weight of all faces, one identity's after the other's."""
    made = [render_for(network, materials, d, shape) if len(d) else None for d in batch.drawn]
    columns = zip(*(m[1:4] for m in made if m), strict=True)
    rows = [r.to(shape.device, non_blocking=True) for r in batch.rows]
    return ([None if m is None else m[0] for m in made], rows), [torch.cat(column) for column in columns]


def mirrored_batch(fed: BatchInputs) -> BatchInputs:
    """The same faces seen in a mirror."""
    (inputs, rows), pictures = fed
    return ([None if x is None else mirrored_input(x) for x in inputs], rows), [x.flip(3) for x in pictures]


def _is_out_of_memory(error: BaseException) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError) or any(w in str(error).lower() for w in words)
