"""How much of a graphics card's memory a training step takes, told without a card: tensors have shapes and no numbers.

usage: python benchmarks/model_memory.py [--presets quick standard fine] [--identities 2]

A step of the refiner and of the shared encoder as they are trained (bfloat16, averaged weights, AdamW), for 1, 2 and 4
usual batches, and for one in parts, as a training that ran out of memory computes it. Prints MiB at most, and which
cards hold it beside what CUDA and its libraries take. The faces themselves are not counted: `faces` says what those of
one person are, in MiB for each hundred; where they would fill a fifth of the card they stay in the host's memory.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from understudy.engine.model.model_folder import faceset_size
from understudy.engine.model.networks import precision
from understudy.engine.model.networks.losses import detail_loss, face_loss, mask_loss
from understudy.engine.model.networks.refiner_network import INPUT_CHANNELS, SIZES
from understudy.engine.model.networks.shared_encoder import make_network
from understudy.engine.model.training.training_step import LEARNING_RATE, batch_size

CPU = torch.device("cpu")
CARDS = (6, 8, 12, 24)
"""GB of usual cards."""
BESIDE = 900
"""MiB that a CUDA context, cuDNN and its workspaces, and a screen take."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["quick", "standard", "fine"], choices=list(SIZES))
    parser.add_argument("--identities", type=int, default=2)
    options = parser.parse_args()
    precision.autocast_dtype = lambda device_type: torch.bfloat16  # type: ignore[assignment]
    print("| preset | network | batches at once | faces in a pass | MiB at most | cards | faces, MiB a hundred |")
    print("|---|---|---|---|---|---|---|")
    for preset in options.presets:
        faces = 100 * 4 * faceset_size(preset) ** 2 / 2**20
        for network in ("refine", "shared"):
            for batches in (0.25, 0.5, 1, 2, 4):
                each = round(batches * batch_size(options.identities))
                most = peak(preset, network, options.identities, each)
                fits = [f"{card} GB" for card in CARDS if most + BESIDE < card * 1e9 / 2**20]
                print(
                    f"| {preset} | {network} | {batches:g} | {each * options.identities} | {most:.0f} "
                    f"| {f'from {fits[0]}' if fits else 'none of them'} | {faces:.0f} |",
                    flush=True,
                )


def peak(preset: str, network: str, identities: int, each: int) -> float:
    """MiB at most in a step in which every decoder gets `each` faces."""
    size, width = SIZES[preset]  # type: ignore[index]
    channels = INPUT_CHANNELS if network == "refine" else 3
    with FakeTensorMode(allow_non_fake_inputs=True):
        net, average = (make_network(network, identities, size, width) for _ in range(2))  # type: ignore[arg-type]
        optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, fused=True)
        rows = [torch.arange(each) + n * each for n in range(identities)]

        def step() -> None:
            inputs: list[torch.Tensor | None] = [torch.rand(each, channels, size, size) for _ in range(identities)]
            pictures = [torch.rand(identities * each, n, size, size) for n in (3, 1, 1)]
            with precision.autocast(CPU):
                results = net(inputs, rows)
            total = torch.zeros(())
            for made, here in zip(results, rows, strict=True):
                truth, mask, weight = (x.index_select(0, here) for x in pictures)
                total = total + (face_loss(made.face, truth, weight) + detail_loss(made.face, truth, weight)).sum()
                total = total + mask_loss(made.mask, mask).sum()
            del results, made
            torch.autograd.backward(total)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        step()  # the optimiser's own state is made
        tracker = MemTracker()
        tracker.track_external(net, average, optimiser)
        with tracker:
            step()
    found = tracker.get_tracker_snapshot("peak")[CPU]
    return float(next(value for key, value in found.items() if str(key) == "Total")) / 2**20


if __name__ == "__main__":
    begun = time.time()
    main()
    print(f"\n{time.time() - begun:.0f} s, torch {torch.__version__}")
