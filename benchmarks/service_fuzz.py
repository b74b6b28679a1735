"""Hostile input to every reader and every call of the engine, at length.

python benchmarks/service_fuzz.py [--inputs 3000] [--examples 100] [--seed N]

`inputs` spoiled files for each reader (tests/service/fuzz.py), `examples` requests by schemathesis for each
call, in accordance with the OpenAPI document and against it. Ends at the first that is not met with a sentence.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # so that `service` is the tests' package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    fuzz = importlib.import_module("service.fuzz")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_HOME"] = folder
        fuzz.client.Engine.call = lambda *_: {"protocol": fuzz.protocol.PROTOCOL}
        for name, reader in fuzz.readers(Path(folder)).items():
            began = time.monotonic()
            tried = sum(1 for _ in fuzz.inputs(reader, given.seed, given.inputs))
            print(f"{name}: {tried} files, 0 without a sentence, {time.monotonic() - began:.0f} s", flush=True)
    if given.examples:
        with tempfile.TemporaryDirectory() as folder:
            asked = importlib.import_module("service.test_schema").examine(Path(folder), given.examples)
            print(f"schemathesis: {asked} requests, all checks pass")


if __name__ == "__main__":
    main()
