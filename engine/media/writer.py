"""Write a recast: the source's size, rate, colours and sound, and only the recast pixels new."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from ..errors import MediaError
from ..own_files import contents, remove_ours
from ..protocol import OutputFormat
from . import segments
from .encode import MovieSegment, PictureSegment, join
from .float_view import Patch, apply_patches
from .formats import check_output
from .layer import layer_pictures, matte_recipe
from .open import LACKS_MEMORY
from .partial_output import Certify, matte_path, partial_folder, publish, remove_partial, require_own_partial
from .passes import layer_names, passes_picture
from .pictures import picture_files
from .reader import Frame, MediaInfo, as_coded
from .recipes import Recipe
from .segment_reuse import EarlierMovie, copy_segments, segments_record
from .segments import Key, Segments
from .timecode import offset_timecode

# https://cv.iptc.org/newscodes/digitalsourcetype: existing footage, parts of it made by a trained network
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
MAX_ENCODER_THREADS = 16  # at most, in an encoder


def provenance() -> dict[str, str]:
    """What every recast movie says of itself in its container."""
    try:
        release = version("understudy")
    except PackageNotFoundError:
        release = "(development)"
    return {
        "comment": f"Recast with Understudy {release}: contains synthetic faces",
        "description": "Faces in this footage were replaced by machine learning; it does not show what happened.",
        "digital_source_type": DIGITAL_SOURCE_TYPE,
    }


@dataclass(frozen=True)
class _Output:
    """One of the files or folders that are written: the recast, or the layer's matte."""

    path: Path
    recipe: Recipe
    mark: str  # tells its segments from the others'
    sound: bool


class MovieWriter:
    """Writes frames `start` to `end` (exclusive) of `source`; a context manager.

        with MovieWriter(output, info, start, end, format="prores-hq", key=key) as writer:
            for first, last in writer.missing():
                for frame in read_frames(info.footage, first, last):
                    writer.write(frame, patches_of(frame))

    `output` is a movie, or a folder for a format of pictures (`formats.suffix_of` tells). `layer` writes only the
    recast face with straight alpha, and its matte beside it (`matte_path`); `people` are the persons that passes are
    of. Frames grow in segments
    (`segments.SEGMENT_FRAMES` each) in `partial_folder(output)`; the output gets its name when all are written, the
    block ends well and `certify` has signed and recorded it where it lies. An exception leaves the finished segments,
    which the next writer of the same source, range, format and `key` takes over: `missing()` tells what is left.
    Without a finished segment, or without a `key`, nothing is left behind, no folder made for it either. Segments that
    the movies `earlier` hold under the same key are copied out of them (`segment_reuse`); `record` is for the writers
    that do so after this one. Raises MediaError when the output cannot be written.
    """

    def __init__(
        self,
        output: Path,
        source: MediaInfo,
        start: int,
        end: int,
        *,
        format: OutputFormat = "same",
        layer: bool = False,
        key: Key | None = None,
        earlier: Sequence[EarlierMovie] = (),
        certify: Certify | None = None,
        people: Sequence[int] = (),
    ) -> None:
        self._output, self._source = Path(output), source
        self._start, self._end, self._format, self._layer, self._key = start, end, format, layer, key
        self._earlier, self._certify, self._people = earlier, certify, people
        self._folder = partial_folder(self._output)
        self._made: list[Path] = []  # folders, the innermost first
        self._outputs: list[_Output] = []
        self._segments: Segments
        self._open: list[MovieSegment | PictureSegment] = []
        self._first = self._next = -1  # of the segment that is being written; the frame to come

    def __enter__(self) -> Self:
        recipe = check_output(self._output, self._source, self._format, self._layer)
        self._outputs = [_Output(self._output, recipe, "", not self._layer)]
        if self._layer:
            self._outputs.append(_Output(matte_path(self._output), matte_recipe(recipe), "-matte", False))
        self._made = [folder for folder in self._output.parents if not folder.exists()]
        try:
            with self._in_plain_words():
                self._segments = Segments(
                    self._folder / "segments",
                    self._start,
                    self._end,
                    self._facts(recipe),
                    self._key,
                    segments.SEGMENT_FRAMES,
                )
                self._output.parent.mkdir(parents=True, exist_ok=True)
                require_own_partial(self._output)
                self._remove_whole()
                self._segments.begin({"threads": min(MAX_ENCODER_THREADS, os.cpu_count() or 1)})
                for one in self._earlier:
                    self._take(one)
        except BaseException:
            self._discard()
            raise
        return self

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of frames to be written, in order: all in one, or what an earlier run did not finish."""
        return self._segments.missing()

    def record(self) -> dict[str, Any] | None:
        """What a later writer needs to take segments out of the finished movie; None where it cannot."""
        output = self._outputs[0]
        if self._key is None or self._layer or output.recipe.picture:
            return None
        spans = [(first, end, self._segments.key_of(first)) for first, end in self._segments.spans]
        with self._in_plain_words():
            return segments_record(output.path, self._written(), spans)

    def _written(self) -> dict[str, Any]:
        """What the packets of a movie depend on beyond its frames' keys."""
        facts = {name: fact for name, fact in self._facts(self._outputs[0].recipe).items() if name != "range"}
        plain: dict[str, Any] = json.loads(json.dumps(facts | self._segments.shared))
        return plain

    def _take(self, earlier: EarlierMovie) -> None:
        """Make finished segments of those that an earlier movie holds."""
        output = self._outputs[0]
        if self._key is None or self._layer or output.recipe.picture or earlier.facts != self._written():
            return
        spans = [(first, end) for first, end in self._segments.spans if not self._segments.is_finished(first)]
        wanted = {(first, end): self._segments.key_of(first) for first, end in spans}
        targets = {(first, end): self._path(output, first) for first, end in spans}
        for first, end in copy_segments(earlier, wanted, targets, output.recipe, self._source):
            self._segments.close(first, [targets[first, end].name])

    def write(self, frame: Frame, patches: Sequence[Patch] = ()) -> None:
        """Write the next missing frame with its recast rectangles; none passes it through.

        Every sample where no patch has a matte is the decoded source's own. Raises MediaError when the disk is full
        or the frame is of another size than the first.
        """
        if not self._open:
            missing = self.missing()
            if not missing or missing[0][0] != frame.index:
                raise ValueError(f"frame {frame.index} is not the next of {missing}")
            self._first = self._next = frame.index
            self._open = [self._begin(output) for output in self._outputs]
        if frame.index != self._next:
            raise ValueError(f"frame {frame.index} is not the next of {self._start}..{self._end}")
        with self._in_plain_words():
            for segment, picture in zip(self._open, self._pictures(frame, patches), strict=True):
                segment.write(picture, frame.index)
            self._next += 1
            if self._next == self._segments.end_of(self._first):
                names = [name for segment in self._open for name in segment.close()]
                self._segments.close(self._first, names)
                self._open = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _pictures(self, frame: Frame, patches: Sequence[Patch]) -> Sequence[Any]:
        if self._outputs[0].recipe.name == "passes":
            return [passes_picture(frame, patches, self._people, self._source, provenance())]
        coded = [as_coded(patch, frame.native) for patch in patches]
        if self._layer:
            return list(layer_pictures(frame.native, coded, self._outputs[0].recipe))
        return [apply_patches(frame.native, coded)]

    def _begin(self, output: _Output) -> MovieSegment | PictureSegment:
        folder, recipe = self._segments.folder, output.recipe
        if recipe.picture:
            names = PictureNames(output.path, self._source, recipe.picture)
            return PictureSegment(folder, recipe, self._source, lambda n: f"{output.mark}{names.of(n)}")
        path = self._path(output, self._first)
        return MovieSegment(path, recipe, self._source, self._segments.shared["threads"])

    def _path(self, output: _Output, first: int) -> Path:
        """The file of the segment that begins with this frame."""
        return self._segments.folder / f"{first:08}{output.mark}.{output.recipe.segment}"

    def _finish(self) -> None:
        missing = self.missing()
        if missing:
            written = self._end - self._start - sum(end - first for first, end in missing)
            written += self._next - self._first if self._open else 0
            raise ValueError(f"{written} of {self._end - self._start} frames were written")
        with self._in_plain_words():
            whole = {  # the recast itself last
                output.path: self._gather(output) if output.recipe.picture else self._join(output)
                for output in reversed(self._outputs)
            }
            publish(whole, self._certify)
        with contextlib.suppress(OSError):
            remove_ours(self._folder, "recast")

    def _join(self, output: _Output) -> Path:
        whole = self._folder / f"joined{output.mark}{output.path.suffix}"
        code = self._source.timecode
        join(
            whole,
            output.path,
            [self._path(output, first) for first, _ in self._segments.spans],
            output.recipe,
            self._source,
            self._start,
            self._end,
            provenance(),
            offset_timecode(code, self._start, self._source.fps) if code else "",
            output.sound,
        )
        return whole

    def _gather(self, output: _Output) -> Path:
        """Pictures are whole already, and lie together under their names; the segments keep them until the end."""
        whole = self._folder / f"pictures{output.mark}"
        whole.mkdir()
        names = PictureNames(output.path, self._source, output.recipe.picture)
        for number in range(self._start, self._end):
            name = names.of(number)
            _link(self._segments.folder / f"{output.mark}{name}", whole / name)
        return whole

    def _discard(self) -> None:
        """Close and remove what is not finished; after `_finish` there is nothing left of it."""
        for segment in self._open:
            segment.discard()
        self._open = []
        self._remove_whole()
        remove_partial(self._output, keep_finished=self._key is not None)
        for folder in self._made:
            with contextlib.suppress(OSError):  # not empty: the movie is in it, or somebody else's file
                folder.rmdir()

    def _remove_whole(self) -> None:
        """Remove what was joined but not published: it is made of the segments again."""
        with contextlib.suppress(OSError):
            for path in contents(self._folder, "recast").ours:
                if path.relative_to(self._folder).parts[0].lstrip(".").startswith(("joined", "pictures")):
                    path.unlink()
            for folder in self._folder.glob("pictures*"):
                folder.rmdir()

    def _facts(self, recipe: Recipe) -> dict[str, Any]:
        """What makes segments of an earlier run unfit: other footage, another format, another encoder."""
        path = self._source.path
        files = picture_files(path)[self._start : self._end] if self._source.is_still else [path]
        stats = [(file.name, stat.st_size, stat.st_mtime_ns) for file in files if (stat := file.stat())]
        passes = {"passes": layer_names(self._people)} if recipe.name == "passes" else {}
        return passes | {
            "source": [str(path.resolve()), stats],
            "range": [self._start, self._end],
            "recipe": [recipe.codec, recipe.pixel_format, recipe.options, recipe.segment, self._layer],
            "length": segments.SEGMENT_FRAMES,
            "libraries": {name: list(numbers) for name, numbers in av.library_versions.items()},
        }

    @contextlib.contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        """Say what FFmpeg or the system complains of as a sentence for the user."""
        try:
            yield
        except LACKS_MEMORY:
            raise
        except (av.FFmpegError, OSError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise MediaError(
                    f"The disk is full: {self._output} could not be written. Make room, or choose another place."
                ) from error
            raise MediaError(
                f"{self._output} could not be written ({error.strerror or error}). Check the folder, or choose another."
            ) from error


def _link(path: Path, other: Path) -> None:
    """Make a file known under another name as well; a copy where the file system knows one name only."""
    try:
        os.link(path, other, follow_symlinks=False)
    except OSError:
        shutil.copyfile(path, other, follow_symlinks=False)


class PictureNames:
    """File names of the pictures of a sequence: the source's own where it is one, else numbered as its frames."""

    def __init__(self, output: Path, source: MediaInfo, suffix: str) -> None:
        self._own = [file.stem for file in picture_files(source.path)] if source.is_still else []
        if len(set(self._own)) < len(self._own):
            self._own = []
        self._stem, self._suffix = output.name, suffix

    def of(self, number: int) -> str:
        """The file name of source frame `number`."""
        return (self._own[number] if self._own else f"{self._stem}.{number:06}") + self._suffix


def full_patch(rgb: np.ndarray, matte: np.ndarray) -> list[Patch]:
    """Patches for a whole recast picture: rgb (H, W, 3) float32 0..1 and matte (H, W) float32 0..1, as shown."""
    rows, columns = np.nonzero(matte.any(1))[0], np.nonzero(matte.any(0))[0]
    if not len(rows):
        return []
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return [Patch(x0, y0, rgb[y0:y1, x0:x1], matte[y0:y1, x0:x1])]
