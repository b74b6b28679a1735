"""`understudy convert`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from ..protocol import ConvertSettings, ConvertSpec, OutputFormat, project_of
from ..settings import check_settings
from .arguments import (
    Consents,
    End,
    Json,
    NotUnderstood,
    Output,
    Overwrite,
    Project,
    obtain_consent,
    read_curves,
    read_settings,
    read_swap,
    settings_manual,
    watching,
)


@dataclass(kw_only=True)
class Convert:
    """Recast a scanned shot with a trained model."""

    scan: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[SCAN_DIR]", help_behavior_hint="")] = (
        None
    )
    """The scan of the shot; its range of frames is what is recast."""
    model: Annotated[Path | None, tyro.conf.arg(metavar="MODEL_DIR", help_behavior_hint="")] = None
    """The model folder."""
    swap: Annotated[
        tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="PERSON[:TARGET]=NAME", help_behavior_hint="")
    ] = field(default_factory=list)
    """A person of the scan, and the identity of the model that appears instead. TARGET names who
    the person is, unless the scan knows. Once for each person recast."""
    output: Output
    """The movie to write: .mp4, .mov or .mkv; for a format of pictures, a folder."""
    like: Annotated[Path | None, tyro.conf.arg(metavar="RESULT", help_behavior_hint="")] = None
    """An earlier result: everything that is not named here is as it was for that one."""
    start: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """First source frame to recast; without it, the first that was scanned."""
    end: End = None
    format: Annotated[OutputFormat | None, tyro.conf.arg(help_behavior_hint="")] = None
    """How the result is coded; without it, like the source."""
    layer: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Write only the recast face with straight alpha, and its matte beside it."""
    set: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="NAME=VALUE", help_behavior_hint="")] = (
        field(default_factory=list)
    )
    """One of the settings below. Once for each."""
    curves: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file of settings that change over time (see below)."""
    draft: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Recast without the trained network, with what the scans show."""
    consent: Consents = field(default_factory=list)
    project: Project = None
    overwrite: Overwrite = False
    json: Json = False

    manual: ClassVar[str] = """\
  Writes the shot again with other faces: same size, same frame rate, same sound, and every
  pixel outside the faces as it was. The movie says in its metadata that it shows synthetic faces.

Examples
  understudy convert work/shot --model work/model --swap 0:Cleo=Ann --swap 2:Dan=Bob -o recast.mp4
  understudy convert work/shot --model work/model --swap 0:Bob=Ann --set colour=mkl --set erode=0,0.02,0,0.02 -o b.mov
  understudy convert --like b.mov work/shot2 -o c.mov
  understudy convert work/shot --model work/model --swap 0:Bob=Ann --curves fade.json -o faded.mp4
  understudy convert work/shot --model work/model --swap 0:Bob=Ann --format passes -o passes

Settings
{settings}

Settings over time
  --curves names a file such as {"amount": [[0, 1], [48, 0]], "erode.top": [[0, 0.1]], "colour": [[0, "mkl"]]}:
  of each setting [frame of the shot, value], in order. Numbers run evenly from one to the next, all else holds.
  Of erode, regions and gaze, one part each is named: erode.top, regions.eyes, gaze.up. Converted again to the same
  place, only the segments whose values changed are made anew.

Writes
  recast.mp4                     once it is complete; until then the folder recast.mp4.part
  recast.mp4.understudy.json     what made it, for --like
  passes/*.exr                   with --format passes: the face, mattes of its parts and maps, as layers
  passes-faces.json              its matrices, frame by frame
""".replace("{settings}", settings_manual(ConvertSettings))

    def run(self) -> dict[str, Any]:
        """Recast the shot."""
        from .. import job_bodies
        from ..convert.settings_over_time import settings_by_frame
        from ..media.footage import footage_of
        from ..media.formats import check_output
        from ..media.reader import probe
        from ..model.model_folder import read_card
        from ..provenance.consent import replaced
        from ..swap import read_summary, require_person

        spec = self._asked()
        check_settings(spec.settings)
        settings_by_frame(spec.settings, spec.curves)
        scan, model, swaps = Path(spec.scan), Path(spec.model), spec.swaps
        check_output(self.output, probe(footage_of(read_summary(scan).clip)), spec.format, spec.layer)
        for swap in swaps:
            require_person(scan, swap.person)
        read_card(model)
        project = self.project.resolve() if self.project else project_of(model)
        swaps = [replace(s, target=s.target or replaced(str(scan), s.person)) for s in swaps]
        roles = {s.identity: f"whose face appears from {model.name}" for s in swaps}
        roles |= {s.target: f"person {s.person} of {scan.name}, who is recast" for s in swaps}
        obtain_consent(project, roles, self.consent)
        with (
            watching("Run the same command again: it goes on after the last finished segment.") as reporter,
            reporter.stage("Recasting"),
        ):
            return job_bodies.run("convert", replace(spec, swaps=swaps, project=str(project)), reporter)

    def _asked(self) -> ConvertSpec:
        """What is to be done: as named here, and for the rest as for the result that this one is to be like."""
        named: dict[str, Any] = {"output": str(self.output.resolve()), "overwrite": self.overwrite}
        if self.scan:
            named["scan"] = str(self.scan.resolve())
        if self.model:
            named["model"] = str(self.model.resolve())
        if self.swap:
            named["swaps"] = [read_swap(text) for text in self.swap]
        named |= {n: v for n in ("start", "end", "format") if (v := getattr(self, n)) is not None}
        if self.layer:
            named["layer"] = True
        if self.curves:
            named["curves"] = read_curves(self.curves)
        if self.draft:
            named["use_refiner"] = False
        if self.like:
            from ..convert.convert_settings import load_settings

            like = load_settings(self.like)
            if self.scan:  # another shot has other frames
                like = replace(like, start=None, end=None, curves={})
            return replace(like, **named, settings=read_settings(self.set, like.settings))
        for name, option in (("scan", "SCAN_DIR"), ("model", "--model"), ("swaps", "--swap")):
            if name not in named:
                raise NotUnderstood(f"{option} is missing. Name it, or an earlier result with --like.")
        return ConvertSpec(**named, settings=read_settings(self.set, ConvertSettings()))
