"""Kill commands at random moments, start them again, and hold the outcome against one never killed.

    python tools/kill_campaign.py --kills 100 --seed 0

Trainings of several methods, evaluate, detect, compare, tune, sample and report are killed by
SIGKILL, up to three times in a row: half the kills at a moment drawn evenly from the time that the
command takes, half in the moment in which a file is seen being written. After each kill, no result
that was there may be gone and no file damaged; the command is then started again until it is done.
Everything in the folder, the cache included, must then equal what a command leaves that was never
killed: weights to the bit, all records and results but for wall times, and the list of all files,
so that nothing half-written is left. Prints a table and ``100 of 100 equal``; leaves with 1 where
anything differs, and keeps the folders that do.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

from safetensors import safe_open

from naqsh import report

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = "naqsh.studies.comparison naqsh.studies.detection naqsh.studies.tune naqsh.report.html"
PRELOADED += " matplotlib.pyplot optuna torch._dynamo"
CONTEXT.set_forkserver_preload(PRELOADED.split())
"""A server process imports all of this once and forks for each command: an import takes seconds."""

LOG_EVERY = 2
"""Steps between two records, and two checkpoints, of the trainings here."""

SAMPLES = 200
"""Images by which a trial of a search is judged here."""

IN_A_ROW = 3
"""Kills, at most, before a command is let through to its end."""

PATIENCE = 120.0
"""Seconds after which a command counts as hanging."""

TIMED = {"seconds", "speed", "sha256", "pictures_per_second", "peak_memory", "memory_peak"}
"""Names of values that no two runs share: times, and digests of headers in random order."""

CPU = ["--device", "cpu"]
STEPS = [*CPU, "--training.batch", "16", "--steps", "12"]
SHARED = ["--training.accumulate", "2", "--training.ema", "0.9", "--training.warmup", "5"]
SHARED += ["--training.clip_norm", "0.7", "--training.schedule", "cosine"]
VALIDATED = ["--training.validation", "0.9"]
"""Most of the digits: an epoch of the few left ends every ten steps, and is followed by a score."""


@dataclass(frozen=True)
class Command:
    """One thing that is killed.

    Attributes:
        words: after ``naqsh``; they are run in an empty folder, or in a copy of what `given` makes.
        given: commands whose outcome is there before.
    """

    words: list[str]
    given: tuple[list[str], ...] = ()


GAN = ["train", "gan-digits", "--out", "run", *STEPS]
VAE = ["train", "vae-digits", "--out", "run", *STEPS, *VALIDATED]
DDPM = ["train", "ddpm-digits", "--out", "run", "--method.multipliers", "1,2"]
DDPM += ["--method.width", "8", "--method.schedule.steps", "20", "--method.steps", "4"]
MEASURE = ["evaluate", "run", *CPU, "--n"]
DETECT = ["detect", "run", "digits", *CPU, "--n"]
BUDGET = ["--images", "640", "--n", "24", "--quiet"]

COMMANDS = {
    "train gan": Command([*GAN, *SHARED]),
    "train vae": Command([*VAE, *SHARED]),
    "train maf": Command(["train", "maf-digits", "--out", "run", *STEPS, *SHARED, *VALIDATED]),
    "train ddpm": Command([*DDPM, *STEPS, *SHARED[:4], *VALIDATED]),
    "train wgan-gp": Command(["train", "wgan-gp-digits", "--out", "run", *STEPS, *SHARED]),
    "evaluate": Command([*MEASURE, "32"], (VAE, [*MEASURE, "24"])),
    "detect": Command([*DETECT, "40"], (VAE, [*DETECT, "24"])),
    "detect again": Command([*DETECT, "24"], (VAE, [*DETECT, "24"])),
    "compare": Command(["compare", "--recipes", "vae-digits", "gan-digits", *CPU, *BUDGET]),
    "tune": Command(["tune", "gan-digits", "--trials", "2", "--epochs", "0.1", *CPU]),
    "sample": Command(["sample", "run", *CPU, "--n", "40", "--folder", "drawn"], (GAN,)),
    "report": Command(["report", "run"], (GAN,)),
}


def _command(words: list[str], place: str) -> None:
    """Run `naqsh` with these words in a folder; what it prints goes into a file beside it."""
    log = os.open(f"{place}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(place)
    temporary = Path(place, "tmp")
    temporary.mkdir(exist_ok=True)
    os.environ |= {"NAQSH_CACHE": f"{place}/cache", "TMPDIR": str(temporary)}
    tempfile.tempdir = None  # as in a new process
    import torch

    from naqsh import cli
    from naqsh.studies.tune import trials
    from naqsh.training import loop

    torch.set_num_threads(1)
    loop.LOG_EVERY, trials.SAMPLES = LOG_EVERY, SAMPLES
    loop.CHECKPOINT_SECONDS = -1.0  # at every record
    sys.exit(cli.main(words))


@dataclass(frozen=True)
class Death:
    """When a command is killed: after so many seconds, or as the so many-th write is seen."""

    seconds: float | None = None
    write: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, seconds, and the writes that were seen."""

    code: int | None
    seconds: float
    writes: int


def run(words: list[str], place: Path, death: Death | None = None) -> Ended:
    """Run a command in a folder to its end or its death."""
    process = CONTEXT.Process(target=_command, args=(words, str(place)))
    began = time.monotonic()
    process.start()
    seen: set[Path] = set()
    while process.is_alive():
        seen |= set(_half_written(place))
        elapsed = time.monotonic() - began
        if death and (elapsed > (death.seconds or PATIENCE) or len(seen) >= (death.write or 1e9)):
            process.kill()
        if elapsed > PATIENCE:
            process.kill()
            raise SystemExit(f"{' '.join(words)} hangs, see {place}.log")
        time.sleep(0.003)
    process.join()
    code = process.exitcode
    process.close()
    return Ended(code, time.monotonic() - began, len(seen))


def _half_written(place: Path) -> Iterator[Path]:
    """Files and folders that bear the names of what is being written."""
    folders = [place]
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith((".part", "-journal")):
                        yield Path(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
        except OSError:  # it has its final name by now
            continue


def content(place: Path) -> dict[str, Any]:
    """What each file below a folder says, but for times, by its path."""
    return {
        path.relative_to(place).as_posix(): _read(path)
        for path in sorted(place.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


def _read(path: Path) -> Any:
    if path.is_dir():
        return "an empty folder"
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_bytes().splitlines()]
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            shown = {n: (t.dtype.str, t.shape, t.tobytes()) for n, t in tensors.items()}
            return shown, file.metadata()
    if path.suffix == ".db":
        with sqlite3.connect(path) as database:
            trials = "select number, state from trials order by number"
            values = "select trial_id, param_name, param_value from trial_params order by 1, 2"
            return [database.execute(query).fetchall() for query in (trials, values)]
    if path.suffix == ".html":  # it shows times and who was faster, but of this folder alone
        with tempfile.TemporaryDirectory() as beside:
            again = report.write(path.parent, Path(beside, "report.html"))
            return again.read_bytes() == path.read_bytes()
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        of = value.get("of")
        if isinstance(of, dict) and of.get("metric") == "speed":
            return of
        return {name: _timeless(part) for name, part in value.items() if name not in TIMED}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def results(place: Path) -> set[str]:
    """All that is a result by now: checkpoints, detections, and what each file of results is of.

    Raises:
        ValueError: a file is damaged.
    """
    found = set()
    for path in place.rglob("*.json"):
        if any(part.endswith(".part") for part in path.parts):
            continue
        plain, name = json.loads(path.read_bytes()), path.relative_to(place).as_posix()
        if not isinstance(plain, dict):
            continue
        if path.name in ("detection.json", "best.json", "run.json"):
            found.add(name)
        for result in plain.get("results", ()):
            found.add(f"{name} {json.dumps(result['of'], sort_keys=True)}")
        for entry in plain.get("entries", ()):
            found.add(f"{name} {entry['folder']} {entry['state']}")
    return {name for name in found if not name.endswith(" planned")}


class Campaign:
    """All commands with what they leave when they are never killed, and the tally."""

    def __init__(self, folder: Path, names: Sequence[str], seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.numbers = count(1)
        self.before: dict[str, Path] = {}
        self.alone: dict[str, Ended] = {}
        self.expected: dict[tuple[str, ...], dict[str, Any]] = {}
        self.tally = {name: [0, 0, 0, 0] for name in names}
        for name in names:
            self._prepare(name, COMMANDS[name])

    def _prepare(self, name: str, command: Command) -> None:
        self.before[name] = self._place(f"{name} given", None)
        for words in command.given:
            _require(run(words, self.before[name]), self.before[name])
        place = self._place(f"{name} alone", self.before[name])
        self.alone[name] = run(command.words, place)
        _require(self.alone[name], place)
        self.expected[tuple(command.words)] = content(place)
        print(f"{name}: {self.alone[name].seconds:.1f} s, {self.alone[name].writes} writes seen")

    def _place(self, name: str, given: Path | None) -> Path:
        place = self.folder / name.replace(" ", "-")
        shutil.copytree(given, place) if given else place.mkdir(parents=True)
        return place

    def sequence(self, name: str, most: int) -> int:
        """Kill a command once or more, let it end, compare; returns the kills."""
        words = COMMANDS[name].words
        place = self._place(f"{next(self.numbers)} {name}", self.before[name])
        faults: list[str] = []
        kills, there = 0, results(place)
        for _ in range(min(most, self.random.randint(1, IN_A_ROW))):
            death = self._death(name)
            ended = run(words, place, death)
            if ended.code != -signal.SIGKILL:
                break
            kills += 1
            self.tally[name][1] += death.write is not None
            there, faults = self._kept(place, there, faults)
        else:
            ended = run(words, place)
        if ended.code != 0:
            faults.append(f"it ended with {ended.code}: {_last_line(place)}")
        there, faults = self._kept(place, there, faults)
        faults += self._differences(name, place)
        self.tally[name][0] += kills
        self.tally[name][2] += 1
        self.tally[name][3] += 0 if faults else kills
        for fault in faults:
            print(f"  {place.name}: {fault}")
        if not faults:
            shutil.rmtree(place)
        return kills

    def _death(self, name: str) -> Death:
        alone = self.alone[name]
        if alone.writes and self.random.random() < 0.5:
            return Death(write=self.random.randint(1, alone.writes))
        return Death(seconds=self.random.uniform(0, alone.seconds))

    def _kept(self, place: Path, before: set[str], faults: list[str]) -> tuple[set[str], list[str]]:
        try:
            there = results(place)
        except ValueError as error:
            return before, [*faults, f"damaged: {error}"]
        lost = [what for what in before - there if "/checkpoints/" not in what]
        return there, [*faults, *(f"lost: {what}" for what in lost)]

    def _differences(self, name: str, place: Path) -> list[str]:
        found, expected = content(place), self._expected(name, place)
        faults = [f"left over: {path}" for path in found.keys() - expected.keys()]
        faults += [f"missing: {path}" for path in expected.keys() - found.keys()]
        both = found.keys() & expected.keys()
        return faults + [f"differs: {path}" for path in both if found[path] != expected[path]]

    def _expected(self, name: str, place: Path) -> dict[str, Any]:
        """What a command never killed leaves; a search that was killed may have more trials."""
        words = list(COMMANDS[name].words)
        if words[0] == "tune":
            trials = len(json.loads((place / "runs/tune-gan-digits/trials.json").read_bytes()))
            words[words.index("--trials") + 1] = str(trials)
        if tuple(words) not in self.expected:
            alone = self._place(f"{name} alone {next(self.numbers)}", self.before[name])
            _require(run(words, alone), alone)
            self.expected[tuple(words)] = content(alone)
        return self.expected[tuple(words)]


def _require(ended: Ended, place: Path) -> None:
    if ended.code != 0:
        raise SystemExit(f"without a kill it ended with {ended.code}: {_last_line(place)}")


def _last_line(place: Path) -> str:
    return (Path(f"{place}.log").read_text(encoding="utf-8").splitlines() or [""])[-1]


def main() -> int:
    """Kill, compare, print; 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, help="commands (default: all)")
    parser.add_argument("--folder", type=Path, help="a new folder to work in (default: temporary)")
    options = parser.parse_args()
    names = options.only or list(COMMANDS)
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="naqsh-kills-"))).resolve()
    began, left = time.monotonic(), options.kills
    campaign = Campaign(folder, names, options.seed)
    for name in cycle(names):
        if left <= 0:
            break
        left -= campaign.sequence(name, left)
    print(f"\n{'command':16}{'kills':>7}{'in writes':>11}{'sequences':>11}{'equal':>7}")
    for name, row in campaign.tally.items():
        print(f"{name:16}{row[0]:7}{row[1]:11}{row[2]:11}{row[3]:7}")
    equal = sum(row[3] for row in campaign.tally.values())
    print(f"{equal} of {options.kills} equal, {time.monotonic() - began:.0f} s")
    if equal < options.kills:
        print(f"what differs is in {folder}")
        return 1
    if not options.folder:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
