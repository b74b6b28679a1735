#!/usr/bin/env bash
# Measures Understudy on this machine's graphics card: `benchmarks/device.sh --help` says what and how.
# PYTHON=… is the Python to use, else that of the engine's environment, else python3. Wheels that lie in
# .build/wheels are put into a folder of their own for a Python that lacks them; nothing is downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.env/engine/bin/python}
command -v "$python" >/dev/null || python=python3
export UNDERSTUDY_HOME=${UNDERSTUDY_HOME:-$PWD/.understudy} PYTHONUNBUFFERED=1
mkdir -p .build/path
ln -sfn ../.. .build/path/understudy
places=$PWD/.build/path
if compgen -G ".build/wheels/*.whl" >/dev/null && ! "$python" -c "import av" 2>/dev/null; then
  site=${TMPDIR:-/tmp}/understudy-site
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" .build/wheels/*.whl
  places=$places:$site
fi
[ ! -d "${TMPDIR:-/tmp}/understudy-site" ] || places=$places:${TMPDIR:-/tmp}/understudy-site
export PYTHONPATH=$places${PYTHONPATH:+:$PYTHONPATH}
exec "$python" benchmarks/device.py "$@"
