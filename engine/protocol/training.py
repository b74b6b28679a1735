"""What a face is trained from and for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .paths import absolute_path
from .settings import Limits, setting

Preset = Literal["draft", "quick", "standard", "fine"]
Network = Literal["refine", "shared"]
Verdict = Literal["improving", "slowing", "converged", "overfitting"]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Where an identity's faces come from: one person of one scan folder."""

    scan: str = absolute_path()
    person: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A named human being and the material that shows them."""

    name: str
    material: list[Material]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What a face is trained for beyond its pixels."""

    likeness: bool = setting(
        False, help="The recognition network has to see the same person with the same features in it"
    )
    adversarial: bool = setting(
        False, help="A critic is trained beside it, late, to tell it from real ones: finer texture, at some risk"
    )


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """Train one model of exactly these people. `output` is the model folder; training into an
    existing folder of the same identities and preset goes on where it stopped.

    `minutes` is the wall-clock limit of this model's training, over all its resumed runs, None until
    it has converged; training stops by itself when it has converged before. The preset `draft` trains
    nothing and only gathers the facesets. `warm_start` is the folder of a model to begin from. `network` is what
    is trained: refine makes drafts into faces, shared is for footage where the mesh does not hold (profiles, blur).
    `settings` may change from one run of a model's training to the next.
    """

    identities: list[Identity]
    output: str = absolute_path()
    preset: Preset = "quick"
    minutes: float | None = setting(10.0, limits=Limits(unit="a number of minutes", above=True))
    warm_start: str = absolute_path("")
    project: str = absolute_path("")
    network: Network = "refine"
    settings: TrainSettings = field(default_factory=TrainSettings)
