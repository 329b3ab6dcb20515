"""From a command's words to a verb, and from what happens to an exit code."""

import _thread
import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from naqsh import __version__
from naqsh.cli.parsing import Parser, apart, in_short, named, refuse_empty
from naqsh.cli.streams import Steady, steady
from naqsh.core.errors import CannotWrite, Interrupted, NaqshError
from naqsh.core.printable import shown

VERBS = [
    importlib.import_module(f"naqsh.cli.verbs.{name}")
    for name in (
        "list",
        "train",
        "sample",
        "translate",
        "edit",
        "evaluate",
        "measure",
        "samplers",
        "bound",
        "field",
        "detect",
        "segment",
        "report",
        "export",
        "compare",
        "failures",
        "tune",
        "lesson",
    )
]
"""A module each, in the order of the help: its `add` makes the parser, which says what does it."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What only writing meets."""

HELP = {"-h", "--help"}

MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
"""How PyTorch says, in a RuntimeError, that memory ran out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 done; 2 what was asked cannot be, said in one line; 3 `detect --fail-on-anomaly` flagged
        something; 130 or 143 stopped by Ctrl-C or SIGTERM with the run saved. A fault of ours is
        not caught: Python prints it and leaves with 1. Whether anybody reads what is printed
        changes nothing, but that output which finds no room makes a 2 of a 0.
    """
    with steady() as out:
        words = list(sys.argv[1:] if arguments is None else arguments)
        try:
            code = _ended(words)
            out.flush()  # here, while what goes wrong can still be told
        except SystemExit as help_was_shown:
            out.flush()
            if not _unread(out):
                raise
            code = int(help_was_shown.code or 0)
        if not code and (lost := _unread(out)):
            code = _complain(f"cannot write the output: {lost.strerror}", 2)
        return code


def _unread(out: Steady) -> OSError | None:
    """Why the output did not arrive, unless its reader has left, which is the reader's choice."""
    return None if isinstance(out.lost, BrokenPipeError) else out.lost


def _ended(words: list[str]) -> int:
    """The exit code of a command, once it has ended in whichever way and that was told."""
    with _ctrl_c() as pressed:
        try:
            return _run(words)
        except NaqshError as error:
            return _complain(str(error), 2)
        except Interrupted as stop:
            return _complain(str(stop), 128 + stop.number)
        except KeyboardInterrupt:
            return _complain("stopped", 130)
        except Exception as error:
            if pressed:  # a library made something else of it
                return _complain("stopped", 130)
            told = _told(error)
            if told is None:
                raise
            return _complain(told, 2)


def _told(error: Exception) -> str | None:
    """What the machine refused, in one line; None for what is no refusal of the machine."""
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in MEMORY):
        return (
            "the memory does not suffice; take a smaller batch, fewer or smaller images, or a "
            "smaller network" + (f" ({str(error).splitlines()[0][:150]})" if str(error) else "")
        )
    if not isinstance(error, OSError):
        return None
    name, why = error.filename, error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{why}; `ulimit -n` says how many may be open at once"
    if error.errno == errno.ENOMEM:
        return f"the memory does not suffice: {why}"
    if error.errno == errno.ENAMETOOLONG:
        return f"a name is too long: {str(name)[:60]}… ({why})"
    if isinstance(error, CannotWrite) or error.errno in NO_ROOM:
        return f"cannot write {name or 'the output'}: {why}"
    if name is None:
        gone = error.errno == errno.ENOENT  # only the working folder has no name
        return "the folder that this was started in is gone" if gone else f"cannot go on: {why}"
    return f"cannot read {os.fsdecode(name) if isinstance(name, bytes) else name}: {why}"


@contextlib.contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Notes Ctrl-C besides raising KeyboardInterrupt, which some libraries turn into their own.

    Where Python can only print an error (in a finaliser, in a callback of an import), it is raised
    again as soon as it can be.
    """
    pressed: list[int] = []

    def press(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    def unraisable(error: "sys.UnraisableHookArgs") -> None:
        if pressed and issubclass(error.exc_type, KeyboardInterrupt):
            threading.Timer(0.01, _thread.interrupt_main).start()  # once this has returned
        else:
            sys.__unraisablehook__(error)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield pressed
        return
    hook = sys.unraisablehook
    signal.signal(signal.SIGINT, press)
    sys.unraisablehook = unraisable
    try:
        yield pressed
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _complain(words: str, code: int) -> int:
    print(f"naqsh: {shown(' '.join(words.split()))}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    parser = Parser(
        prog="naqsh",
        description="Train, sample, measure, explain and compare deep generative models.",
        epilog="examples:\n"
        "  naqsh list                      what there is\n"
        "  naqsh train gan-digits          needs no download\n"
        "  naqsh train gan-digits --help   every option of that recipe\n"
        "  naqsh sample runs/gan-digits --out grid.png\n"
        "  naqsh report runs/gan-digits    one page, runs/gan-digits/report.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"naqsh {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in VERBS:
        module.add(verbs)
    refuse_empty(arguments)
    words, dotted = apart(arguments)
    known = verbs.choices[words[0]].known() if words and words[0] in verbs.choices else ()
    if "--range" in known:  # a verb that reads images of no recipe, by options of its own
        words, dotted = in_short(words, dotted, known)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if HELP & set(words):
        return _help(parser, words, dotted)
    options, rest = parser.parse_known_args(words)
    do: Callable[[argparse.Namespace, dict[str, str]], int] = options.do
    return do(options, named(dotted + rest))


def _help(parser: Parser, words: list[str], dotted: list[str]) -> int:
    """The help of a verb, and of the recipe or run that was named, if one was."""
    more = ""
    with contextlib.suppress(_Incomplete):
        options, rest = _partly(parser, [word for word in words if word not in HELP])
        if hasattr(options, "more"):
            more = options.more(options, named(dotted + rest))
    try:
        parser.parse_args(words)
    except SystemExit:
        if not more:
            raise
    print(more)
    return 0


class _Incomplete(Exception):
    """Words that are no whole command, of which help may be asked all the same."""


def _partly(parser: Parser, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    try:
        return parser.parse_known_args(words)
    except NaqshError as error:
        raise _Incomplete from error
