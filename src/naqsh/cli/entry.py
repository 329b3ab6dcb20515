"""From a command's words to a verb, and from what happens to an exit code."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence

from naqsh import __version__
from naqsh.cli import comparing, detecting, making, measuring, showing
from naqsh.cli.parsing import Parser, apart, named
from naqsh.errors import Interrupted, NaqshError

UNWRITABLE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 done; 2 what was asked cannot be, said in one line; 3 `detect --fail-on-anomaly` flagged
        something; 130 or 143 stopped by Ctrl-C or SIGTERM with the run saved. A fault of ours is
        not caught: Python prints it and leaves with 1.
    """
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()  # here, while what goes wrong can still be told
    except NaqshError as error:
        return _complain(str(error), 2)
    except Interrupted as stop:
        return _complain(str(stop), 128 + stop.number)
    except KeyboardInterrupt:
        return _complain("stopped", 130)
    except BrokenPipeError:
        _silence()  # whoever read our output has left
        return 0
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _silence()
        return _complain(f"cannot write {error.filename or 'the output'}: {error.strerror}", 2)


def _silence() -> None:
    """If there is still something to print and no way to, let it go nowhere.

    Otherwise Python would try once more as it leaves, and fail.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(words: str, code: int) -> int:
    print(f"naqsh: {' '.join(words.split())}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    parser = Parser(
        prog="naqsh",
        description="Train, sample, measure, explain and compare deep generative models.",
        epilog="examples:\n"
        "  naqsh list                                 what there is\n"
        "  naqsh train gan-digits                     needs no download\n"
        "  naqsh sample runs/gan-digits --out grid.png\n"
        "  naqsh report runs/gan-digits               one page, runs/gan-digits/report.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"naqsh {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        showing.add_list,
        making.add_train,
        making.add_sample,
        measuring.add_evaluate,
        measuring.add_measure,
        measuring.add_samplers,
        measuring.add_bound,
        detecting.add_detect,
        showing.add_report,
        comparing.add_compare,
        making.add_tune,
    ):
        add(verbs)
    words, dotted = apart(arguments)
    if words[:1] == ["train"] and making.asks_help(words):
        return making.train_help(parser, words)
    options, rest = parser.parse_known_args(words)
    do: Callable[[argparse.Namespace, dict[str, str]], int] = options.do
    return do(options, named(dotted + rest))
