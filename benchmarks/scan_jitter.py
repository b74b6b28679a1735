"""How still a still head's landmarks are, and how late a quick one's: a real face moved along a known path.

Usage: python benchmarks/scan_jitter.py PICTURE [--noise 3]

The picture is shifted by fractions of a pixel, so the truth is known; camera noise (standard deviation in 8 bits,
another in every frame) is added. Jitter is the root mean square step of a landmark from frame to frame in % of the
distance between the outer corners of the eyes; lag is the delay, in frames, at which the path fits best.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from understudy.engine.faces.networks.face_mesh import EYE_LINE
from understudy.engine.faces.tracking import track_linking
from understudy.engine.faces.tracking.measure import Measurer

FRAMES = 48
MOTIONS = {
    "still": lambda t, unit: 0 * t,
    "slow sway, to .5 % a frame": lambda t, unit: 0.04 * unit * np.sin(0.125 * t),
    "quick shake, to 12 % a frame": lambda t, unit: 0.3 * unit * np.sin(0.4 * t),
    "sudden start and stop, 8 % a frame": lambda t, unit: 0.08 * unit * np.clip(t - 16, 0, 16),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--noise", type=float, default=3.0)
    options = arguments.parse_args()
    torch.set_flush_denormal(True)
    picture = cv2.cvtColor(cv2.imread(str(options.picture)), cv2.COLOR_BGR2RGB)
    measurer = Measurer()
    (face,) = measurer(0, [picture], [0])
    unit = float(np.linalg.norm(face.landmarks[EYE_LINE[0], :2] - face.landmarks[EYE_LINE[1], :2]))
    print(f"{unit:.0f} pixels between the eyes, noise {options.noise}")
    for name, motion in MOTIONS.items():
        path = motion(np.arange(FRAMES), unit)
        random = np.random.default_rng(1)
        frames = []
        for x in path:
            moved = cv2.warpAffine(
                picture, np.float64([[1, 0, x], [0, 1, 0]]), picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
            )
            noisy = moved + random.normal(0, options.noise, moved.shape)
            frames.append(np.clip(np.round(noisy), 0, 255).astype(np.uint8))
        faces = measurer(0, frames, [0] * FRAMES)
        assert [f.frame for f in faces] == list(range(FRAMES)) and not any(f.carried for f in faces)
        raw = np.stack([f.landmarks for f in faces])
        for what, landmarks in (("measured", raw), ("smoothed", track_linking.smooth_track(raw))):
            away = landmarks[:, :, :2] - path[:, None, None] * [1, 0]
            step = 100 * np.sqrt((np.diff(away, axis=0)[4:-4] ** 2).sum(-1).mean()) / unit
            place = landmarks[:, :, 0].mean(1)
            error = 100 * np.abs(place - place.mean() - (path - path.mean())).max() / unit
            late = f", lag {lag(place, path):+.3f} frames, largest error {error:.2f} %" if np.ptp(path) else ""
            print(f"{name:36}{what:10} jitter {step:.3f} %{late}", flush=True)


def lag(place: np.ndarray, path: np.ndarray) -> float:
    """Frames by which `place` comes after `path`."""
    time, inner = np.arange(len(path)), slice(4, -4)
    delays = np.linspace(-2, 2, 401)
    centred = place - place.mean()

    def misfit(delay: float) -> float:
        shifted = np.interp(time - delay, time, path)[inner]
        return float(((centred[inner] - centred[inner].mean() - (shifted - shifted.mean())) ** 2).sum())

    return float(delays[np.argmin([misfit(d) for d in delays])])


if __name__ == "__main__":
    main()
