"""`understudy train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..errors import DataError
from ..project_links import require_closed
from ..protocol import (
    Identity,
    Material,
    Network,
    Preset,
    ScanSummary,
    TrainSettings,
    TrainSpec,
    from_json,
    parse_json,
    project_of,
)
from ..reading import read_text
from .arguments import (
    Consents,
    Json,
    Minutes,
    NotUnderstood,
    Output,
    Project,
    minutes_of,
    obtain_consent,
    read_identities,
    read_settings,
    settings_manual,
    watching,
)


@dataclass(kw_only=True)
class Train:
    """Train a model of the people that scans found."""

    identity: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="NAME=SCAN_DIR[:PERSON]")] = field(
        default_factory=list
    )
    """Somebody, and a scan that shows them as person PERSON (0 without it). Once for each scan of each person."""
    base: bool = False
    """Train everybody who has a name in any scan of the project, for other models to begin from with --from."""
    output: Output
    """The model folder; a model of the same people there is trained further."""
    preset: Preset = "quick"
    """draft trains nothing; quick is for minutes on a CPU; standard and fine are sharper and want a GPU."""
    minutes: Minutes = None
    until_converged: bool = False
    """Train for as long as it helps, with no limit of time."""
    begin_from: Annotated[Path | None, tyro.conf.arg(name="from", metavar="MODEL_DIR")] = None
    """A model of the same preset whose training this one begins with; people it knows keep what it learned of them."""
    network: Network = "refine"
    """refine makes drafts into faces within minutes; shared is for footage in which faces turn into full profile or are
    blurred, where no mesh holds: it has to learn everything, for hours."""
    set: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="NAME=VALUE", help_behavior_hint="")] = (
        field(default_factory=list)
    )
    """One of the settings below. Once for each."""
    consent: Consents = field(default_factory=list)
    project: Project = None
    json: Json = False

    manual: ClassVar[str] = """\
  Gathers everybody's faces, then trains until it has converged or the time is up. The same people and
  more of them may be named again for a model that is there: whoever is new is added. A run that was stopped or killed
  goes on from its last checkpoint when the same command is given again. A base model of everybody at
  hand (--base) makes the next ones learn faster that begin from it (--from). Nobody is trained whose
  consent is not on record: you are asked once, or say it with --consent, or with
  understudy identity consent.

Example
  understudy train --identity Ann=work/actor --identity Bob=work/shot:1 -o work/model --minutes 30
  understudy train --base --project film.understudy -o film.understudy/models/base --until-converged

Writes into the model folder
  model.json             who is in it, and how long it was trained
  facesets/              everybody's faces
  weights.safetensors    the network; checkpoint.safetensors to go on from
  preview.jpg            what it can do by now; timelapse/ how it came to that
  tensorboard/           the curves, where TensorBoard is installed (pip install "understudy[tensorboard]")

Settings
{settings}

Several GPUs
  torchrun --standalone --nproc-per-node 2 --no-python understudy train … trains on two.
""".replace("{settings}", settings_manual(TrainSettings))

    def run(self) -> dict[str, Any]:
        """Train or gather."""
        from .. import job_bodies
        from ..swap import require_person

        output = self.output.resolve()
        project = self.project.resolve() if self.project else project_of(output)
        identities = named_people(project) if self.base else []
        identities += read_identities(self.identity) if self.identity or not self.base else []
        if not identities:
            raise NotUnderstood(f"Nobody has a name in the scans of {project}. Name people: understudy people --help.")
        for identity in identities:
            for material in identity.material:
                require_person(Path(material.scan), material.person)
        roles = {i.name: f"person {i.material[0].person} of {i.material[0].scan}" for i in identities}
        obtain_consent(project, roles, self.consent)
        spec = TrainSpec(
            identities=identities,
            output=str(output),
            preset=self.preset,
            minutes=None if self.until_converged else minutes_of(self.preset, self.minutes),
            warm_start=str(self.begin_from.resolve()) if self.begin_from else "",
            project=str(project),
            network=self.network,
            settings=read_settings(self.set, TrainSettings()),
        )
        with (
            watching("Run the same command again: training goes on from its last checkpoint.") as reporter,
            reporter.stage("Gathering faces" if self.preset == "draft" else "Training"),
        ):
            return job_bodies.run("train", spec, reporter)


def named_people(project: Path) -> list[Identity]:
    """Everybody who has a name in any scan of a project, with all material that shows them."""
    material: dict[str, list[Material]] = {}
    require_closed(project / "scans", project)
    for path in sorted((project / "scans").glob("*/scan.json")):
        try:
            summary = from_json(ScanSummary, parse_json(read_text(path)))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}). Scan its footage again.") from None
        for person in summary.people:
            if person.known and not person.rejected:
                material.setdefault(person.name, []).append(Material(scan=str(path.parent), person=person.id))
    return [Identity(name=name, material=parts) for name, parts in material.items()]
