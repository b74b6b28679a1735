"""The command line: `understudy COMMAND …`. `python -m understudy.engine` is the same."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import tyro

from .commands import COMMANDS, NotUnderstood
from .errors import Stopped, UnderstudyError

USAGE, FAULT = NotUnderstood.exit_code, 70

EXIT_CODES = """\
Exit codes
  0    done
  1    something else is in the way (the message says what)
  2    the command line is not understood
  3    footage cannot be read or written
  4    no face, or not the person asked for
  5    the face networks are not installed (understudy models fetch)
  6    a scan, model or other file of Understudy is missing or damaged
  7    somebody's permission is not on record (understudy identity consent)
  8    a file does not fit its content credentials (understudy verify)
  70   a fault in Understudy itself
  130  stopped by Ctrl-C; run the same command again to go on
"""

OVERVIEW = """\
usage: understudy COMMAND [OPTIONS]

Recast a face in a movie: who is in it, who appears instead, and the finished shot.
Frames are counted from 0 in the order shown; a range's end is exclusive.

The whole way in one command
  understudy swap shot.mp4 --face actor.mp4 -o recast.mp4

The same, step by step
  understudy scan shot.mp4 -o work/shot
  understudy scan actor.mp4 -o work/actor
  understudy train --identity Ann=work/actor --identity Bob=work/shot -o work/model
  understudy convert work/shot --model work/model --swap 0=Ann -o recast.mp4

Commands
{commands}

understudy COMMAND --help explains one. With --json, the last line of the output is one
JSON object: the result, or {{"error": …, "exit_code": …}}.

{exit_codes}"""


def main() -> None:
    """The entry point `understudy`: run one command and exit with its code."""
    try:
        code = execute(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what the user meets is printed."""
    as_json = "--json" in arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:11}{command.__doc__}" for name, command in COMMANDS.items())
        print(OVERVIEW.format(commands=commands, exit_codes=EXIT_CODES), end="")
        return 0 if arguments else USAGE
    if arguments[0] == "--version":
        from .doctor import release

        print(f"understudy {release()}")
        return 0
    try:
        result = _parse(arguments).run()
    except BrokenPipeError:
        raise
    except (UnderstudyError, OSError, KeyboardInterrupt) as error:
        code, sentence = _in_plain_words(error)
        if code == FAULT:
            traceback.print_exc()
        return _fail(code, sentence, as_json)
    except Exception as error:
        traceback.print_exc()
        return _fail(FAULT, f"Understudy met a fault of its own ({type(error).__name__}: {error}).", as_json)
    code = int(result.get("exit_code", 0))
    if as_json:
        print(json.dumps(result))
    elif movie := result.get("movie"):
        print(f"{movie}: {result['frames']} frames, {result['recast']} of them recast")
    elif model := result.get("model"):
        print(f"{model}: {result['steps']} steps in {result['minutes']:.1f} minutes")
    return code


def _parse(arguments: Sequence[str]) -> Any:
    """The command that the arguments ask for. Raises NotUnderstood; prints help and exits for --help."""
    command = COMMANDS.get(arguments[0])
    if command is None:
        raise NotUnderstood(
            f"There is no command {arguments[0]}; there are {', '.join(COMMANDS)}. understudy --help explains them."
        )
    name = f"understudy {arguments[0]}"
    try:
        return tyro.cli(
            command,
            prog=name,
            description=f"{command.__doc__}\n{command.manual}\n{EXIT_CODES}",
            args=list(arguments[1:]),
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise NotUnderstood(f"The command line is not understood; {name} --help explains it.") from None


def _in_plain_words(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence of an error that is not a fault of the code."""
    if isinstance(error, UnderstudyError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return Stopped.exit_code, "Stopped at once. Run the same command again to go on from what is finished."
    assert isinstance(error, OSError)
    if error.errno == errno.ENOSPC:
        return 1, "The disk is full. Make room, or choose another place, and run the same command again."
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return 1, f"{error.filename} may not be written or read. Change its permissions, or choose another place."
    return FAULT, f"Understudy met a fault of its own ({error})."


def _fail(code: int, sentence: str, as_json: bool) -> int:
    print(sentence, file=sys.stderr)
    if as_json:
        print(json.dumps({"error": sentence, "exit_code": code}))
    return code
