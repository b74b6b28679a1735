"""The page for a browser: the queue, every training's curves and latest preview. Rendered here, no script in it."""

from __future__ import annotations

import html
import math
import threading
from pathlib import Path

from ..protocol import FINAL_STATES, Job
from ..reading import read_bytes
from .store import Store

MAX_JOBS = 30  # jobs, the newest
REFRESH_SECONDS = 5  # seconds
MAX_CURVE_POINTS = 400  # of a curve; older ones are thinned
WIDE, HIGH = 560, 160  # of a curve, in CSS pixels
MAX_PICTURE_BYTES = 20_000_000  # bytes
COLOURS = ("#4c9be8", "#e8a44c", "#7bc47f", "#d46a6a", "#a98be0", "#c9c94c")
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; background: #1d1d1d; color: #ddd; margin: 2em auto; max-width: 62em }
h1 { font-size: 1.3em; font-weight: 600 }
.job { background: #2a2a2a; border-radius: 6px; padding: .8em 1em; margin: .7em 0 }
.head { display: flex; gap: 1em; align-items: baseline } .kind { font-weight: 600; min-width: 5em }
.id { color: #999; font-family: monospace } .state { margin-left: auto }
.failed { color: #e88 } .done { color: #8c8 } .running { color: #8bf } .paused { color: #e8c26a }
.bar { background: #444; height: 6px; border-radius: 3px; margin: .5em 0; overflow: hidden }
.bar div { background: #4c9be8; height: 6px }
.body { display: flex; gap: 1em; flex-wrap: wrap } svg { background: #222; border-radius: 4px }
img { max-width: 100%; max-height: 260px; border-radius: 4px }
.message { color: #bbb } text { fill: #aaa; font: 11px system-ui, sans-serif } footer { color: #888; margin-top: 2em }
"""


class Curve:
    """The losses and the latest preview of one job, read on from where they were left."""

    def __init__(self) -> None:
        self.seq = 0
        self.stride = 1
        self.count = 0
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.preview: Path | None = None
        self.caption = ""

    def read_on(self, store: Store, job_id: str) -> None:
        """Take in what the job has told since."""
        while events := store.events(job_id, self.seq):
            for event in events:
                self.seq = event.seq
                if event.kind == "preview":
                    self.preview, self.caption = Path(event.data["path"]), str(event.data["caption"])
                elif event.kind == "loss":
                    self._take(event.data)

    def _take(self, data: dict) -> None:
        self.count += 1
        if self.count % self.stride:
            return
        for name, value in data["values"].items():
            self.points.setdefault(name, []).append((int(data["step"]), float(value)))
        if max(map(len, self.points.values()), default=0) > MAX_CURVE_POINTS:
            self.points = {name: points[::2] for name, points in self.points.items()}
            self.stride *= 2


class Page:
    """Renders the page of a store's jobs. Any thread may call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._curves: dict[str, Curve] = {}
        self._lock = threading.Lock()

    def render(self, title: str) -> str:
        """The whole page as HTML."""
        jobs = self._store.jobs()[:MAX_JOBS]
        jobs.sort(key=lambda job: job.state in FINAL_STATES)  # stable: the unfinished first
        with self._lock:
            for gone in set(self._curves) - {job.id for job in jobs}:
                del self._curves[gone]
            parts = [self._job(job) for job in jobs]
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}"><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(title)}</h1>{''.join(parts) or '<p>No jobs yet.</p>'}"
            f"<footer>The {MAX_JOBS} newest jobs; looks again every {REFRESH_SECONDS} s.</footer></body></html>"
        )

    def picture(self, job_id: str) -> tuple[bytes, str] | None:
        """A job's latest preview and its media type, None where there is none."""
        if self._store.job(job_id) is None:
            return None
        with self._lock:
            curve = self._curve(job_id)
        kinds = {".jpg": "image/jpeg", ".png": "image/png"}
        if curve.preview is None or curve.preview.suffix not in kinds:
            return None
        try:
            if curve.preview.stat().st_size > MAX_PICTURE_BYTES:
                return None
            return read_bytes(curve.preview), kinds[curve.preview.suffix]
        except OSError:
            return None

    def _curve(self, job_id: str) -> Curve:
        curve = self._curves.setdefault(job_id, Curve())
        curve.read_on(self._store, job_id)
        return curve

    def _job(self, job: Job) -> str:
        curve = self._curve(job.id)
        percent = f"{job.progress:.0%}"
        left = f", about {_duration(job.seconds_left)} left" if job.seconds_left is not None else ""
        rank = f", priority {job.priority}" if job.priority else ""
        said = html.escape(job.error or job.message or str(job.spec.get("output") or job.spec.get("scan") or ""))
        bar = "" if job.state in FINAL_STATES else f'<div class="bar"><div style="width:{percent}"></div></div>'
        shown = draw(curve.points) if curve.points else ""
        if curve.preview:
            shown += f'<img src="/page/preview/{job.id}?{curve.seq}" alt="{html.escape(curve.caption)}">'
        return (
            f'<div class="job"><div class="head"><span class="kind">{job.kind}</span><span class="id">{job.id[:12]}'
            f'</span><span class="state {job.state}">{job.state} {percent}{left}{rank}</span></div>{bar}'
            f'<div class="message">{said}</div><div class="body">{shown}</div></div>'
        )


def draw(curves: dict[str, list[tuple[int, float]]]) -> str:
    """Losses over steps as an SVG, their logarithm where all are above 0."""
    known = {name: points for name, points in list(curves.items())[: len(COLOURS)] if points}
    values = [value for points in known.values() for _, value in points]
    logarithmic = min(values) > 0
    scale = math.log if logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    first = min(points[0][0] for points in known.values())
    last = max(points[-1][0] for points in known.values())

    def at(step: int, value: float) -> str:
        x = 8 + (WIDE - 16) * (step - first) / max(last - first, 1)
        y = HIGH - 22 - (HIGH - 44) * (scale(value) - low) / ((high - low) or 1.0)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for number, (name, points) in enumerate(known.items()):
        path = " ".join(at(step, value) for step, value in points)
        colour = COLOURS[number]
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        legend = f"{html.escape(name[:12])} {points[-1][1]:.4g}"
        lines.append(f'<text x="{8 + 92 * number}" y="14" style="fill:{colour}">{legend}</text>')
    axis = f'<text x="8" y="{HIGH - 6}">step {first}</text>'
    axis += f'<text x="{WIDE - 8}" y="{HIGH - 6}" text-anchor="end">{last}</text>'
    return f'<svg width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}">{"".join(lines)}{axis}</svg>'


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
