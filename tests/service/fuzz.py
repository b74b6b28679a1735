"""Every reader of files that may come from strangers, fed damaged and hostile ones: it reads, or says a sentence.

`readers(folder)` makes a good file for each; `damaged` spoils one: bytes flipped, cut, repeated or put in,
or, where it is JSON (also the header of a safetensors file), values of other types, sizes and depths.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from understudy.engine import client, protocol
from understudy.engine.errors import UnderstudyError
from understudy.engine.faces.alignments import FILE_NAME, LANDMARKS, Alignments, load_alignments
from understudy.engine.faces.facesets.faceset import Faceset, load_faceset
from understudy.engine.footage_stamp import FILE_NAME as SOURCE
from understudy.engine.footage_stamp import facts, remember, require_unchanged
from understudy.engine.model.model_folder import (
    ModelCard,
    load_refiner,
    load_tensors,
    read_card,
    save_tensors,
    write_card,
)
from understudy.engine.model.networks import refiner_network
from understudy.engine.protocol import Clip, ConsentRecord, ConvertSpec, ScanSpec, ScanSummary, Swap
from understudy.engine.provenance.consent import read_consent, record_consent
from understudy.engine.service.routes.messages import Submission, read_body
from understudy.engine.swap import read_summary

JUNK: list[Any] = [None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, -0.5, "", "x" * 5000, "\0", "../..", [], {}, [[]]]


class Reader(NamedTuple):
    file: Path
    read: Callable[[], Any]
    may_raise: tuple[type[BaseException], ...] = (UnderstudyError,)


def readers(folder: Path) -> dict[str, Reader]:
    """Good files below `folder`, and who reads them."""
    scan, model, project = folder / "scan", folder / "model", folder / "film.understudy"
    for made in (scan, model, project):
        made.mkdir(parents=True)
    clip = Clip(path=str(scan / "movie"))
    (scan / "movie").write_bytes(b"frames")
    remember(ScanSpec(clip=clip, output=str(scan)), facts(scan / "movie"))
    count, rng = 3, np.random.default_rng(0)
    places = rng.uniform(1, 60, (count, LANDMARKS, 3)).astype(np.float32)
    zeros = np.zeros(count)
    Alignments(
        clip=clip, width=64, height=64, fps=Fraction(25), frame=np.arange(count), box=np.zeros((count, 4)),
        landmarks=places, score=zeros, sharpness=zeros, embedding=np.zeros((count, 128)), track=zeros, person=zeros,
        carried=np.zeros(count, bool),
    ).save(scan)  # fmt: skip
    summary = ScanSummary(
        schema=1, clip=clip, width=64, height=64, fps=[25, 1], frames=3, variable_frame_rate=False, people=[]
    )
    (scan / "scan.json").write_text(json.dumps(asdict(summary)))
    Faceset(
        name="Ann", pixels=np.zeros((count, 64, 64, 3), np.uint8), masks=np.zeros((count, 64, 64), np.uint8),
        landmarks=places, shot=zeros.astype(np.int32), frame=zeros.astype(np.int32),
        sharpness=zeros.astype(np.float32), exposure=zeros.astype(np.float32), enlarged=zeros.astype(np.float32),
        coarse=np.zeros(count, bool), hidden=zeros.astype(np.float32),
    ).save(folder / "ann.faceset")  # fmt: skip
    card = ModelCard(schema=1, preset="quick", identities=["Ann"], material=[[]])
    write_card(model, card)
    save_tensors(model / "weights.safetensors", {"a": torch.zeros(4)}, {"step": 1})
    weights = folder / "network"
    weights.mkdir()
    refiner_network.SIZES["quick"] = (64, 8)
    whole = refiner_network.Refiner(1, 8).state_dict()
    save_tensors(weights / "weights.safetensors", whole, {"step": 1})
    write_card(weights, card)
    record = ConsentRecord(identity="Ann", person="Ann A.", basis="own face", scope="all", date="2026-01-01")
    consent = record_consent(project, record)
    convert = ConvertSpec(
        scan=str(scan), model=str(model), swaps=[Swap(person=0, identity="Ann")], output=str(folder / "o.mp4")
    )
    body = {"id": "a", "kind": "convert", "spec": asdict(convert)}
    (folder / "body").write_text(json.dumps(body))
    (folder / "engine.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "t" * 64, "protocol": "1"}))
    return {
        "scan.json": Reader(scan / "scan.json", lambda: read_summary(scan)),
        "alignments": Reader(scan / FILE_NAME, lambda: load_alignments(scan)),
        "source.json": Reader(scan / SOURCE, lambda: require_unchanged(convert)),
        "faceset": Reader(folder / "ann.faceset", lambda: load_faceset(folder / "ann.faceset")),
        "model.json": Reader(model / "model.json", lambda: read_card(model)),
        "checkpoint": Reader(model / "weights.safetensors", lambda: load_tensors(model / "weights.safetensors")),
        "weights": Reader(weights / "weights.safetensors", lambda: load_refiner(weights, card)),
        "consent": Reader(consent, lambda: read_consent(project, "Ann")),
        "request": Reader(folder / "body", lambda: _submission(folder / "body"), (ValueError, OverflowError)),
        "engine.json": Reader(folder / "engine.json", client.find),
    }


def _submission(file: Path) -> None:
    """What `POST /v1/jobs` does with a body."""
    asked = read_body(Submission, file.read_bytes())
    spec: Any = protocol.from_json(protocol.SPECS[asked.kind], asked.spec)
    protocol.check_paths(spec)


def damaged(good: bytes, dice: random.Random) -> bytes:
    """Another version of a file."""
    if dice.random() < 0.6:
        spoiled = _with_other_values(good, dice)
        if spoiled is not None:
            return spoiled
    data = bytearray(good)
    for _ in range(dice.choice([1, 1, 2, 8, 64])):
        at = dice.randrange(min(len(data), dice.choice([64, 4096, len(data) or 1])) or 1) if data else 0
        what = dice.randrange(5)
        if what == 0 and data:
            data[at] ^= 1 << dice.randrange(8)
        elif what == 1:
            del data[at : at + dice.choice([1, 100, len(data)])]
        elif what == 2:
            data[at:at] = dice.randbytes(dice.choice([1, 8, 300]))
        elif what == 3:
            data[at : at + 8] = struct.pack("<Q", dice.choice([0, 1, 2**31, 2**32, 2**63, 2**64 - 1]))
        else:
            data[at:at] = dice.choice(
                [b"[", b"{", b'{"a":', b"[[" * 50_000, b"9" * 5000, b"\\ud800", b"NaN", b"\xff\xfe"]
            )
    return bytes(data)


def _with_other_values(good: bytes, dice: random.Random) -> bytes | None:
    try:
        return json.dumps(_other(json.loads(good), dice)).encode()
    except (ValueError, RecursionError):
        pass
    try:
        (size,) = struct.unpack("<Q", good[:8])
        header = json.loads(good[8 : 8 + size])
    except (struct.error, ValueError):
        return None
    if "__metadata__" in header and dice.random() < 0.5:
        told = json.loads(header["__metadata__"]["understudy"])
        header["__metadata__"]["understudy"] = json.dumps(_other(told, dice))
    else:
        header = _other(header, dice)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + size :]


def _other(value: Any, dice: random.Random) -> Any:
    """The same JSON with one or a few values replaced, dropped or doubled."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        changed = dict(value)
        if dice.random() < 0.15:
            del changed[key]
        else:
            changed[key] = _other(value[key], dice)
        return changed
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], _other(value[at], dice), *value[at + dice.randrange(2) :]]
    if dice.random() < 0.1:
        deep: Any = 0
        for _ in range(dice.choice([5, 400])):
            deep = [deep]
        return deep
    return dice.choice(JUNK)


def inputs(reader: Reader, seed: int, count: int) -> Iterator[bytes]:
    """Feed `count` spoiled files to a reader; raises AssertionError with the one that is not met with a sentence."""
    good = reader.file.read_bytes()
    reader.read()
    for number in range(count):
        spoiled = damaged(good, random.Random(seed + number))
        reader.file.write_bytes(spoiled)
        try:
            reader.read()
        except reader.may_raise as error:
            assert str(error), "an error without a word"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise AssertionError(
                f"{reader.file.name}, seed {seed + number}: {said[:300]}\n{spoiled[:300]!r}"
            ) from error
        yield spoiled
    reader.file.write_bytes(good)
