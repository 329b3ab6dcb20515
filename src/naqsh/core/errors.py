"""How a command may end early: by a user's mistake, a signal or a file."""

import contextlib
import difflib
import os
import signal
from collections.abc import Iterable, Iterator

from naqsh.core.printable import shown


class NaqshError(Exception):
    """What was asked cannot be done; the message is one line: what, why, and what would work.

    The command line prints the message and leaves with exit code 2. Anything else that escapes is a
    fault of ours, exit code 1.

    Whatever is quoted in the message (a name, a value, what a library says), the message stays one
    line and commands no terminal.
    """

    def __init__(self, message: object = "") -> None:
        lines = str(message).splitlines()
        super().__init__(shown(" ".join(line.strip() for line in lines)))


class Interrupted(Exception):
    """A signal asked the run to stop; its state is saved.

    Attributes:
        number: of the signal; the command line leaves with 128 plus it, as shells expect.
    """

    def __init__(self, number: int, step: int) -> None:
        name = signal.Signals(number).name
        super().__init__(
            f"stopped after step {step} by {name}; the same command resumes from there"
        )
        self.number = number


ELSEWHERE = {
    "batch": "batch-size batchsize bs minibatch",
    "lr": "learning-rate learningrate",
    "epochs": "num-epochs n-epochs max-epochs",
    "steps": "num-steps max-steps iterations iters max-iters n-iter num-inference-steps ddim-steps",
    "out": "output output-dir outdir save-dir logdir result-dir",
    "data": "dataset data-dir data-path dataroot",
    "n": "num-samples samples num-images images count num",
    "seed": "random-seed random-state manual-seed",
    "device": "gpu gpus cuda accelerator",
    "size": "image-size img-size imsize resolution",
    "latent": "latent-dim latent-size z-dim nz",
    "ema": "ema-decay",
    "clip-norm": "grad-clip gradient-clip clip-grad max-grad-norm gradient-clip-val",
    "accumulate": "grad-accum gradient-accumulation-steps accumulate-grad-batches",
    "precision": "amp fp16 bf16 dtype mixed-precision",
    "warmup": "warmup-steps lr-warmup-steps",
    "schedule": "lr-scheduler lr-schedule",
    "tracking": "logger wandb tensorboard",
    "sampler": "scheduler solver",
    "guidance": "cfg cfg-scale guidance-scale",
    "reference": "split real-split",
    "pr": "precision recall precision-recall prdc",
    "dc": "density coverage",
    "likelihood": "nll bpd bits elbo",
}
"""What other programs call what we call otherwise; our own names come first."""

_OURS = {theirs: ours for ours, names in ELSEWHERE.items() for theirs in names.split()}

SHOWN = 3
"""Names that a hint holds at most."""


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """The known names that `given` may stand for, the likeliest first; none if none is near.

    Case, dashes and underscores do not matter. A dotted name is also found by its last part, so
    that ``lr`` finds ``method.optimizer.lr``; and by what other programs call it, so that
    ``batch-size`` finds ``training.batch``. A first word finds names that go on after it.
    """
    names = sorted(known, key=lambda name: (name.count("."), name))
    word = _bare(given)
    if not word:
        return []
    whole = {name: _bare(name) for name in names}
    last = {name: bare.rpartition(".")[2] for name, bare in whole.items()}
    end = word.rpartition(".")[2]
    for forms, wanted in ((whole, word), (last, end), (last, _OURS.get(end))):
        if found := [name for name in names if forms[name] == wanted]:
            # Of names that end alike, the shortest way to it: --steps before --training.steps.
            return [name for name in found if name.count(".") == found[0].count(".")][:SHOWN]
    # `vae` is the first word of several names; the shortest of them are the plainest.
    if found := [name for name in names if whole[name].startswith(f"{word}-")]:
        return sorted(found, key=len)[:SHOWN]
    near = difflib.get_close_matches(end, sorted(set(last.values())), n=1)
    return [name for name in names if last[name] in near][:SHOWN]


def _bare(name: str) -> str:
    return name.lower().lstrip("-").replace("_", "-")


def one_of(what: str, given: str, known: Iterable[str]) -> NaqshError:
    """The error for an unknown name: says the nearest known ones, or lists them all.

    Args:
        what: what kind of thing was named, for example ``"recipe"``.
        given: the name that is not known.
        known: every name that would have worked.
    """
    names = sorted(known)
    near = nearest(given, names)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
    return NaqshError(f"no {what} named {given!r}; {hint}")


class CannotWrite(OSError):
    """A file or folder could not be written; an OSError with `errno`, `strerror` and `filename`."""


@contextlib.contextmanager
def writing(path: "os.PathLike[str] | str") -> Iterator[None]:
    """Turn the operating system's refusals inside the block into :class:`CannotWrite`.

    An OSError does not say whether somebody was reading or writing; whoever writes knows.
    """
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror, os.fspath(path)) from error
