"""One frame after another, recast in a process that keeps its networks: `python -m …previewer [MODULE:CLASS]`.

A request is a line of JSON on standard input, {"spec": PreviewSpec, "output": path}; so is its answer on
standard output, {"result": PreviewResult} or {"error": sentence}. Before all requests it says {} once it has
loaded what it needs. The process ends with its input.
A preview of somebody's new face needs the same consent as a conversion.
It is kind to a training on the same machine: one thread, and a lower priority than any worker.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from ..errors import UnderstudyError
from ..project_links import require_inside
from ..protocol import PreviewSpec, from_json, to_json
from ..provenance.consent import people_of, project_folder, require_consent

RECASTER = f"{__package__.rpartition('.')[0]}.convert.still_frame:StillRecaster"
NICE = 10  # workers have 5


def main(recaster: str = RECASTER) -> None:
    """Answer requests until there are no more."""
    faulthandler.enable()
    if sys.platform != "win32":
        os.nice(NICE)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print belongs into the log
    render = _load(recaster)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(render, json.loads(line))), file=answers, flush=True)


def _load(recaster: str) -> Any:
    import cv2
    import torch

    from ..devices import pick_device
    from ..provenance import consented_people  # noqa: F401  # loaded before the first request, which somebody waits for

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    module, _, name = recaster.partition(":")
    return getattr(importlib.import_module(module), name)(torch.device(pick_device())).render


def _answer(render: Any, request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from ..provenance.consented_people import require_same_people

    try:
        spec = from_json(PreviewSpec, request["spec"])
        require_inside(spec)
        require_consent(project_folder(spec), people_of(spec))
        require_same_people(spec)
        return {"result": to_json(render(spec, Path(request["output"])))}
    except UnderstudyError as error:
        return {"error": str(error)}
    except torch.OutOfMemoryError:
        return {"error": "The graphics card has no memory left for a preview. Pause the training, then try again."}
    except Exception as error:
        traceback.print_exc()
        first = (str(error).splitlines() or [""])[0][:200]
        what = f"{type(error).__name__}: {first}"
        return {"error": f"Internal error in the preview ({what}). Look into preview.log, and report it."}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # a training beside it may need what is not in use


if __name__ == "__main__":
    main(*sys.argv[1:])
