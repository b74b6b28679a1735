"""The command line: `understudy COMMAND …`. `python -m understudy.engine` is the same."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from .commands import COMMANDS, NotUnderstood
from .commands.arguments import OPTIONS
from .commands.path_arguments import close_home, examine, examine_home
from .errors import Stopped, UnderstudyError
from .memory import LITTLE, NEEDED, require_room
from .plain_words import of_file, of_lack
from .printing import complain, complain_of_fault, say, unwritten

USAGE, FAULT = NotUnderstood.exit_code, 70
LIGHT = tuple(COMMANDS[name] for name in ("identity", "serve", "jobs", "remote"))
"""Commands that load no library that takes much memory."""

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
  70   internal error
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
  understudy convert work/shot --model work/model --swap 0:Bob=Ann -o recast.mp4

Commands
{commands}

understudy COMMAND --help explains one. With --json, the last line of the output is one
JSON object: the result, or {{"error": …, "exit_code": …}}.

{exit_codes}"""


def main() -> None:
    """The entry point `understudy`: run one command and exit with its code."""
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows what it can
    try:
        try:
            code = execute(sys.argv[1:])
        except SystemExit as leaving:  # --help
            code = int(leaving.code or 0)
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _drop_output()
        code = 141
    except (OSError, UnderstudyError) as error:  # it takes nothing: a full disk
        _drop_output()
        complain(unwritten(error) if isinstance(error, OSError) else str(error))
        code = 1
    sys.exit(code)


def _open_standard_streams() -> None:
    """Have what is printed go nowhere where the output was closed (`>&-`): the next file would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_RDWR)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", errors="backslashreplace"))


def _drop_output() -> None:
    """What is not written yet goes nowhere, rather than into a message of Python's when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what the user meets is printed."""
    as_json = "--json" in arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:11}{command.__doc__}" for name, command in COMMANDS.items())
        for line in OVERVIEW.format(commands=commands, exit_codes=EXIT_CODES).splitlines():
            say(line)
        return 0 if arguments else USAGE
    if arguments[0] == "--version":
        from .doctor import release

        say(f"understudy {release()}")
        return 0
    try:
        command = _parse(arguments)
        examine(command)
        if not isinstance(command, COMMANDS["doctor"]):  # which tells what is wrong with it
            examine_home()
            close_home()
        require_room(LITTLE if isinstance(command, LIGHT) else NEEDED)
        result = command.run()
    except BrokenPipeError:
        raise
    except (UnderstudyError, KeyboardInterrupt) as error:
        if isinstance(error, UnderstudyError) and (sentence := of_lack(error)):  # whatever it blames
            return _fail(1, sentence, as_json)
        return _fail(*_in_plain_words(error), as_json)
    except Exception as error:
        if sentence := of_lack(error) or (of_file(error) if isinstance(error, OSError) else ""):
            return _fail(1, sentence, as_json)
        complain_of_fault()
        return _fail(FAULT, f"Internal error ({type(error).__name__}: {error}). Report it.", as_json)
    code = int(result.get("exit_code", 0))
    if as_json:
        say(json.dumps(result))
    elif movie := result.get("movie"):
        say(f"{movie}: {result['frames']} frames, {result['recast']} of them recast")
    elif model := result.get("model"):
        say(f"{model}: {result['steps']} steps in {result['minutes']:.1f} minutes")
    return code


def _parse(arguments: Sequence[str]) -> Any:
    """The command that the arguments ask for. Raises NotUnderstood; prints help and exits for --help."""
    command = COMMANDS.get(arguments[0])
    if command is None:
        raise NotUnderstood(
            f"There is no command {arguments[0]}; there are {', '.join(COMMANDS)}. understudy --help explains them."
        )
    if empty := [n for n, text in enumerate(arguments) if not text.strip() or (text[:2] == "--" and text[-1] == "=")]:
        what = arguments[empty[0]].rstrip("=").strip() or arguments[empty[0] - 1]
        raise NotUnderstood(f"What is given with {what} is empty. Say what is meant, or leave it out.")
    name, wrong = f"understudy {arguments[0]}", io.StringIO()
    try:
        with contextlib.redirect_stderr(wrong), OPTIONS:
            return tyro.cli(
                command,
                prog=name,
                description=f"{command.__doc__}\n{command.manual}\n{EXIT_CODES}",
                args=list(arguments[1:]),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except BrokenPipeError:
        raise
    except OSError as error:  # the help that it prints
        raise UnderstudyError(unwritten(error)) from None
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        for line in wrong.getvalue().splitlines():
            complain(line)
        raise NotUnderstood(f"The command line is not understood; {name} --help explains it.") from None


def _in_plain_words(error: UnderstudyError | KeyboardInterrupt) -> tuple[int, str]:
    """Exit code and sentence of what a command ends with."""
    if isinstance(error, UnderstudyError):
        return error.exit_code, str(error)
    return Stopped.exit_code, "Stopped at once. Run the same command again to go on from what is finished."


def _fail(code: int, sentence: str, as_json: bool) -> int:
    complain(sentence)
    if as_json:
        say(json.dumps({"error": sentence, "exit_code": code}))
    return code
