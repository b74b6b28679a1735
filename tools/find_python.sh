#!/bin/sh
# Print the path of a working Python of this version, or nothing. A pyenv shim that is there but leads
# nowhere does not count.
version=$1
for candidate in "python$version" "$HOME/.pyenv/versions/$version"*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python; do
    if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
