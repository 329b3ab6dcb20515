"""Does a test notice a wrong formula? `python tools/mutations.py`, `--only PATTERN`, `--list`.

Each mutation of mutations.toml is a mistake that an engineer could make in one place. One at a time
it is put into a copy of the repository, the tests that should notice it are run there, and the file
is put back. The checkout is never changed. A mutation is

* killed: a test failed, and the same tests pass without it;
* survived: they all passed, so a test is missing;
* equivalent: they all passed, and the list says why nothing can be told;
* an error: its text is not to be found just once, its tests do not run, or what is called
  equivalent is noticed.

The exit code is 1 where one survived or is an error.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")

SECONDS = 600
"""A mutation whose tests take longer hangs them, which a test run notices too."""

ALL_SECONDS = 3600
"""For the tests of all mutations, before the first."""

LINES = 12
"""Of what pytest says of a failure that is no mutation's, at most."""

LEFT_OUT = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
LEFT_AT_THE_ROOT = {"runs", "build", "dist"}
"""Left out at the root alone: `runs` is a room of the package too."""

PASSED, FAILED = 0, 1
"""Exit codes of pytest; all others mean that no test has judged."""


@dataclass(frozen=True)
class Mutation:
    """A mistake in one place.

    Attributes:
        name: short, of letters and hyphens.
        file: that holds the formula, from the repository's root.
        before: a text that stands in it once.
        after: the wrong text.
        tests: files that should notice, or single tests of them.
        why: what is wrong where it goes unnoticed.
        equivalent: why no test can notice; empty for all others.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    why: str
    equivalent: str = ""

    def applied(self, text: str) -> str:
        """The file's text with the mistake; ValueError where `before` does not stand there once."""
        if (count := text.count(self.before)) != 1:
            raise ValueError(f"the text before stands {count} times in {self.file}")
        return text.replace(self.before, self.after)


def read(path: Path = LIST) -> list[Mutation]:
    """The mutations of a list; its tables `files` and `tests` say where names lie."""
    plain = tomllib.loads(path.read_text("utf-8"))
    found = []
    for entry in plain["mutation"]:
        tests = tuple(_test(name, plain["tests"]) for name in entry.pop("tests"))
        found.append(Mutation(**entry | {"file": plain["files"][entry["file"]], "tests": tests}))
    twice = [name for name, count in Counter(one.name for one in found).items() if count > 1]
    if twice:
        raise ValueError(f"{path} has two mutations {twice[0]}")
    return found


def _test(name: str, places: dict[str, str]) -> str:
    """`gan`, or `gan::test_penalty`, as pytest takes it."""
    file, colons, test = name.partition("::")
    return places[file] + colons + test


@dataclass(frozen=True)
class Verdict:
    """What became of a mutation: how, by which test or why, and after how many seconds."""

    how: str
    detail: str
    seconds: float = 0.0

    @property
    def is_wrong(self) -> bool:
        """Whether something is to be done."""
        return self.how in ("survived", "error")


class Copy:
    """A copy of the repository in which tests run.

    Args:
        folder: an empty one.
        root: of the repository.
    """

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.said = folder / "copy", ""
        anywhere = shutil.ignore_patterns(*LEFT_OUT)

        def left_out(place: str, names: list[str]) -> set[str]:
            return anywhere(place, names) | (LEFT_AT_THE_ROOT if Path(place) == root else set())

        shutil.copytree(root, self.folder, ignore=left_out)
        # By content: a file that is changed twice in a second keeps its time and size.
        compile_all = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode"]
        subprocess.run([*compile_all, "checked-hash", self.folder / "src"], check=True)

    def judge(self, mutation: Mutation) -> Verdict:
        """Apply a mutation, run its tests, and put the file back."""
        path, began = self.folder / mutation.file, time.monotonic()
        try:
            right = path.read_text("utf-8")
            wrong = mutation.applied(right)
            compile(wrong, mutation.file, "exec")
        except (OSError, ValueError, SyntaxError) as error:
            return Verdict("error", str(error))
        path.write_text(wrong, "utf-8")
        try:
            code, detail = self.test(mutation.tests)
        finally:
            path.write_text(right, "utf-8")
        return _verdict(mutation, code, detail, time.monotonic() - began)

    def test(self, tests: Sequence[str], seconds: float = SECONDS) -> tuple[int, str]:
        """Pytest's exit code, and the test that failed first or the last line that was said.

        What a failed test said is in `said`.
        """
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        paths = {"PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | paths,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.said = ""
            return FAILED, f"no end within {seconds:.0f} s"
        self.said = "\n".join(re.findall(r"^E .*", said, re.MULTILINE)[:LINES])
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", said, re.MULTILINE)
        lines = said.strip().splitlines() or [""]
        return process.returncode, failed.group(1) if failed else lines[-1]


def _verdict(mutation: Mutation, code: int, detail: str, seconds: float) -> Verdict:
    if code not in (PASSED, FAILED):
        return Verdict("error", f"its tests did not run: {detail}", seconds)
    if mutation.equivalent:
        if code == FAILED:
            return Verdict("error", f"called equivalent, but noticed by {detail}", seconds)
        return Verdict("equivalent", mutation.equivalent, seconds)
    return Verdict("killed" if code == FAILED else "survived", detail, seconds)


def run(mutations: Sequence[Mutation], copy: Copy) -> Iterator[tuple[Mutation, Verdict]]:
    """Judge one after the other; RuntimeError where tests fail without any mutation."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    code, detail = copy.test(tests, ALL_SECONDS)
    if code != PASSED:
        raise RuntimeError(f"without any mutation the tests do not pass: {detail}\n{copy.said}")
    for mutation in mutations:
        yield mutation, copy.judge(mutation)


def row(mutation: Mutation, verdict: Verdict) -> str:
    """A line of the table."""
    return f"{verdict.how:<10} {mutation.name:<36} {verdict.seconds:4.0f} s  {verdict.detail}"


def main() -> int:
    """Run, and print a line each; 1 where something is to be done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", metavar="PATTERN", help="those whose name or file matches")
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    options = parser.parse_args()
    pattern = re.compile(options.only or "")
    chosen = [one for one in read() if pattern.search(one.name) or pattern.search(one.file)]
    if not chosen:
        parser.error(f"no mutation matches {options.only}")
    if options.list:
        for one in chosen:
            print(f"{one.name:<36} {one.file}: {one.why}")
        return 0
    found = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        try:
            for mutation, verdict in run(chosen, Copy(Path(folder))):
                found.append(verdict)
                print(row(mutation, verdict), flush=True)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    counts = Counter(verdict.how for verdict in found)
    print(", ".join(f"{count} {how}" for how, count in counts.most_common()))
    return int(any(verdict.is_wrong for verdict in found))


if __name__ == "__main__":
    sys.exit(main())
