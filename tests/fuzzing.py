"""Mutants of everything that is read from a run folder, and what must hold of each of them.

A mutant is a number: the same one damages the same file in the same way on every machine. It is
looked at in this process, by all that reads such a file: opening, sampling, resuming, the reports
in both languages, the notebook's pieces, the page of a comparison, a search that goes on, and a
saved detector. Each may succeed or raise a NaqshError of one line; nothing else may happen.
"""

import contextlib
import functools
import io
import json
import os
import random
import re
import shutil
import sqlite3
import struct
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import naqsh
from naqsh import recipes, report
from naqsh.core import memory
from naqsh.core.errors import NaqshError
from naqsh.io import png
from naqsh.io.files import append_line
from naqsh.recipes.recipe import Recipe
from naqsh.report import notebook
from naqsh.report.draw import figures
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.studies import bound as bounds
from naqsh.studies import comparison, detection, samplers, tune
from naqsh.studies.detection.baselines import Residual
from naqsh.studies.tune import trials
from naqsh.training import building, stages

ROOM = 256 << 20
"""Bytes of memory that reading a mutant may take beside what stands; the runs take about 1 MiB."""

SECRET = "only the owner may read this"
MARK = "<script>mark()</script>"

TINY = {"training.batch": 16, "training.steps": 3, "training.validation": 0.1, "training.ema": 0.9}
NETWORKS = {
    "ddpm": ("ddpm-digits", {"method.width": 4, "method.multipliers": (1, 2), "method.steps": 2}),
    "flow": ("nice-digits", {"method.hidden": 4, "method.depth": 1, "method.blocks": 2}),
}
N = 12
"""Images drawn to be measured."""

PLACES = {"ddpm": "compare/ddpm", "flow": "compare/flow", "compare": "compare"}
PLACES |= {"tune": "tune", "detector": "detector"}


@dataclass
class World:
    """What is damaged: whole folders that are never changed, and copies of them that are.

    Attributes:
        whole: folders as Naqsh left them.
        root: of the copies; nothing beside ``copy`` may change in it.
    """

    whole: Path
    root: Path

    @property
    def copy(self) -> Path:
        """The folder that a mutant may write to."""
        return self.root / "copy"


def tiny(name: str) -> Recipe:
    """The recipe of one of :data:`NETWORKS`, under that name."""
    recipe, method = NETWORKS[name]
    return recipes.by_name(recipe).override({**TINY, **method, "name": name})


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Drawings and estimates that were made before are taken again: what they are of is all."""
    drawn: dict[Any, Any] = {}

    def remembered(draw: Any) -> Any:
        def again(*given: Any, words: Any, **named: Any) -> Any:
            key = draw.__name__, words.language, repr(given), repr(named)
            if key not in drawn:
                drawn[key] = draw(*given, words=words, **named)
            return drawn[key]

        return again

    with contextlib.ExitStack() as stack:
        for module, names in DRAWN.items():
            for name in names:
                stack.enter_context(swapped(module, name, remembered(getattr(module, name))))
        estimate = functools.lru_cache(building.estimate)  # of a recipe and a layout alone
        stack.enter_context(swapped(building, "estimate", estimate))
        stack.enter_context(swapped(trials, "plot", lambda *_: b""))
        stack.enter_context(swapped(stages, "show", lambda *_, **__: {}))
        yield


DRAWN = {
    figures: ("lines", "joined", "roc", "points", "histograms", "ridges"),
}


def build(folder: Path) -> World:
    """Two runs with all that can be measured of them, compared; a search and a detector."""
    whole, root = folder / "whole", folder / "root"
    root.mkdir(parents=True)
    (root / "secret.json").write_text(json.dumps({"secret": SECRET}))
    (root / "secret.yaml").write_text(f"secret: {SECRET}\n")
    comparison.compare(plan(folder), whole / "compare", device="cpu", quiet=True)
    ddpm, flow = (naqsh.open(whole / PLACES[name]) for name in ("ddpm", "flow"))
    samplers.study(ddpm, ["ddim"], [2], features="pixels", n=N)
    bounds.study(ddpm, n=2)
    found = flow.detect("digits", n=N, draws=1, score="likelihood")
    assert found.detector is not None
    pca = Residual(2)  # a likelihood learns nothing from normal images
    pca.fit(found.suspects.images)
    both = {**found.detector.scorers, "pca": pca}
    thresholds = {**found.detector.thresholds, "pca": 0.5}
    replace(found.detector, scorers=both, thresholds=thresholds).save(whole / "detector")
    search(whole / "tune")
    kept.translations(flow.folder).keep([translation()])
    kept.segmentations(flow.folder).keep([segmentation()])
    kept.guidance(flow.folder).keep([scale(1.0), scale(2.0)])
    kept.editing(flow.folder).keep([edit()])
    kept.fields(flow.folder).keep([field()])
    for picture in (EDITED, FIELD):
        png.save_grid(flow.folder.path / picture, np.zeros((1, 1, 8, 8), np.uint8))
    said = {"step": 3, "epoch": 0.03, "words": "a note", "rule": "rising", "metric": "flow.total"}
    append_line(flow.folder.diagnosis, said | {"value": 1.0, "before": "", "after": ""})
    return World(whole, root)


def translation() -> Result:
    """A measured direction, which reports read whatever the run's method is."""
    mean, measure = records.Mean(0.1, 0.01), records.Measure("kernel", 0.2, standard_error=0.01)
    of = records.TranslationOf("B", N, N, "a", "b", "0f", "pixels", "1f", 3, "last", 0)
    levels = tuple(records.Disturbed(sigma, mean) for sigma in (0.0, records.NOTICED))
    floor = records.Floor("train", N, (measure,))
    found = records.Translation((measure,), (measure,), floor, mean, levels, N, mean, mean)
    return Result(records.plain(of), records.plain(found))


def segmentation() -> Result:
    """A study of segmentation, which reports read whatever the run's method is."""
    of = records.SegmentationOf("a", "0f", 2, 2, N, (0.5,), 2, 3, "last", 0)
    ways = [records.Classified(n, (0.5, 0.6), (0.5, 0.6), (0.5,)) for n in ("features", "pixels")]
    found = records.Segmentation(("a",), tuple(ways), N, 0.5, "segmentation.png")
    return Result(records.plain(of), records.plain(found))


def scale(guidance: float) -> Result:
    """Samples under one scale of guidance, which reports read whatever the run's method is."""
    drawn = records.Drawn(3, N, 0, "pixels", "1f", "a", "0f", {"sampler": "ddim"}, "last")
    kinds = ("frechet", "precision", "recall")
    measures = tuple(records.Measure(k, 0.5, N, N, interval=(0.4, 0.6), kind=k) for k in kinds)
    found = records.Scale(guidance, 20.0, measures, 30.0, 1.0, "cpu")
    return Result({"guidance": guidance, **records.plain(drawn)}, records.plain(found))


EDITED = "editing-0f.png"


def edit() -> Result:
    """An edit, which reports read whatever the run's method is."""
    of = records.EditOf("fill", "0f", 1, 4, 3, "last", 0, jump=5, resamples=5)
    mean, notes = records.Mean(0.1, 0.01), ("cut to its centre",)
    found = records.Edit(EDITED, 1, mean, 20.0, 30.0, "cpu", kept=0, filled=0.5, notes=notes)
    return Result(records.plain(of), records.plain(found))


FIELD = "field-0f.png"


def field() -> Result:
    """A drawn score, which reports read whatever the run's method is."""
    of = records.FieldOf(N, 3, 0, "a", "0f", "last")
    found = records.Field((records.Level(0.5, 0.1, FIELD), records.Level(0.1, 0.2, FIELD)), None)
    return Result(records.plain(of), records.plain(found))


def plan(folder: Path) -> comparison.Plan:
    """The comparison of the tiny recipes, whose files lie in `folder`."""
    for name in NETWORKS:
        if not (folder / f"{name}.yaml").exists():
            (folder / f"{name}.yaml").write_text(tiny(name).to_yaml())
    files = tuple(str(folder / f"{name}.yaml") for name in NETWORKS)
    return comparison.Plan(recipes=files, pictures=48, n=N, features="pixels")


def search(folder: Path) -> None:
    """One trial more."""
    with swapped(trials, "SAMPLES", N):
        tune.search(
            tiny("flow"), trials=1, space=["method.logit=0.05:0.06"], out=folder, device="cpu"
        )


@contextlib.contextmanager
def swapped(module: Any, name: str, value: Any) -> Iterator[None]:
    """Another value for a constant of a module while the block lasts."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def files(world: World) -> list[tuple[str, str]]:
    """Every file that can be damaged: whose it is (a key of :data:`PLACES`), and its path there."""
    found = []
    for kind, place in PLACES.items():
        top = world.whole / place
        paths = [p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()]
        if kind == "compare":
            paths = ["comparison.json"]
        if kind == "ddpm":  # what the other run lacks
            paths = [path for path in paths if re.match("samplers|bound|nearest|recipe", path)]
        if kind == "tune":
            paths = [path for path in paths if path.startswith("search.")]
        found += [(kind, path) for path in sorted(paths) if _counts(path)]
    return found


def _counts(path: str) -> bool:
    return not re.search(
        r"(^|/)\.|report\.html|search\.png|\.csv$|0001-|0002-|grids/00000002", path
    )


# How a file is damaged. Each takes the file and random numbers; False says that it does not apply.

Mutator = Callable[[Path, random.Random], Any]
MUTATORS: dict[str, Mutator] = {}
TEXTS = (".json", ".jsonl", ".yaml")


def mutator(function: Mutator) -> Mutator:
    """Take a function into :data:`MUTATORS`."""
    MUTATORS[function.__name__] = function
    return function


@mutator
def nothing(file: Path, rng: random.Random) -> None:
    """No damage at all."""


@mutator
def truncated(file: Path, rng: random.Random) -> None:
    """Cut anywhere."""
    data = file.read_bytes()
    file.write_bytes(data[: rng.randrange(max(1, len(data)))])


@mutator
def emptied(file: Path, rng: random.Random) -> None:
    """Nothing left."""
    file.write_bytes(b"")


@mutator
def missing(file: Path, rng: random.Random) -> None:
    """Deleted."""
    file.unlink()


@mutator
def flipped(file: Path, rng: random.Random) -> None:
    """Some bits flipped, mostly near the beginning, where headers are."""
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice([1, 1, 4, 30])):
        end = rng.choice([len(data), min(len(data), 600)])
        if end:
            data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(data))


@mutator
def inserted(file: Path, rng: random.Random) -> None:
    """Some bytes more."""
    data = file.read_bytes()
    place = rng.randrange(len(data) + 1)
    file.write_bytes(data[:place] + rng.randbytes(rng.choice([1, 3, 100])) + data[place:])


@mutator
def noise(file: Path, rng: random.Random) -> None:
    """Other bytes altogether."""
    file.write_bytes(rng.randbytes(rng.choice([1, 8, 1000])))


@mutator
def huge(file: Path, rng: random.Random) -> None:
    """Three gigabytes of nothing more, or what just passes the limit of a size."""
    with file.open("r+b") as opened:
        opened.truncate(rng.choice([3 << 30, 1 << 30, 64 << 20, 64 << 10]))


@mutator
def folder(file: Path, rng: random.Random) -> None:
    """A folder in its place."""
    file.unlink()
    file.mkdir()


@mutator
def pipe(file: Path, rng: random.Random) -> Any:
    """A pipe that nobody writes to."""
    if not hasattr(os, "mkfifo"):
        return False
    file.unlink()
    return os.mkfifo(file)


@mutator
def link(file: Path, rng: random.Random) -> None:
    """A link: to a file outside, to nothing, to itself, to a device."""
    secret = next(p for p in file.parents if p.name == "copy").parent / "secret"
    there = [f"{secret}{file.suffix}", f"{secret}.json", "nowhere", file.name, "/dev/zero"]
    file.unlink()
    file.symlink_to(rng.choice(there))


@mutator
def exchanged(file: Path, rng: random.Random) -> Any:
    """Two files swapped, of the same suffix mostly."""
    top = next(p for p in file.parents if p.parent.name == "copy" or p.name == "copy")
    others = sorted(p for p in top.rglob("*") if p.is_file() and p != file and _counts(p.name))
    alike = [p for p in others if p.suffix == file.suffix]
    if not others:
        return False
    other = rng.choice(alike if alike and rng.random() < 0.8 else others)
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    return other.write_bytes(mine)


@mutator
def recoded(file: Path, rng: random.Random) -> Any:
    """Another encoding, or a mark of one in front."""
    if file.suffix not in TEXTS:
        return False
    text = file.read_text(encoding="utf-8")
    coding = rng.choice(["utf-8-sig", "utf-16", "utf-32", "cp037"])
    return file.write_bytes(text.encode(coding, "replace"))


STRINGS = [
    "\x1b[31mred\x1b]0;title\x07",
    "a\nb\r\nc\x00d",
    "\u202eturned\u2066isolated\u2028line",
    "\u2069\u2069ended",
    MARK,
    "]]>-->'\"{{7*7}}{0}%s$x$",
    "../../../secret",
    "/etc/passwd",
    "C:\\x",
    "x" * 100_000,
    "\ud800",
    "",
    " ",
    "²",
    "-0",
    "nan",
    "گربه",
]
VALUES: list[Any] = [
    *(None, True, False, [], {}, [[]], "", "text", 0, 1, -1, -0.5, 0.5, 1e308, -1e308, 5e-324),
    *(2**31, 2**63, 2**64, -(2**63), 10**30, [1, 2, 3], [None], ["a"], {"a": 1}, {"a": {"b": []}}),
    *([0] * 1000, "1", "1e9"),
]
RAW = ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400, "-1e400", "9" * 5000]
RAW += [
    "[" * 100_000,
    "[" * 40 + "]" * 40,
    '{"a":' * 200 + "1" + "}" * 200,
    "01",
    "'x'",
    "*a",
    "!!x y",
]


def _read(file: Path) -> list[Any]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if file.suffix == ".yaml":
        import yaml

        return [yaml.safe_load(text)]
    return [json.loads(text)]


def _write(file: Path, values: list[Any], raw: str | None = None) -> None:
    """The values as the file has them, `raw` in place of the text ``RAW``."""
    lines = [json.dumps(value, ensure_ascii=file.suffix != ".yaml") for value in values]
    text = "\n".join(lines) + "\n"
    if raw is not None:
        text = text.replace('"RAW"', raw)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))


def _nodes(value: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """What holds each of nested values, and its name there; large lists by their ends."""
    found = [] if found is None else found
    if isinstance(value, dict | list):
        names = list(value) if isinstance(value, dict) else list(range(len(value)))
        for name in names if len(names) < 60 else names[:2] + names[-1:]:
            found.append((value, name))
            _nodes(value[name], found)
    return found


def _changing(change: Callable[[Any, Any, random.Random], str | None]) -> Mutator:
    """A mutator of one place of a text file, or of the texts in a header of tensors."""

    def apply(file: Path, rng: random.Random) -> Any:
        if file.suffix == ".safetensors":
            return _in_header(file, rng, change)
        if file.suffix not in TEXTS or not (values := _read(file)):
            return False
        nodes = _nodes(values)
        return _write(file, values, change(*rng.choice(nodes), rng))

    apply.__name__ = change.__name__
    return apply


def _in_header(
    file: Path, rng: random.Random, change: Callable[[Any, Any, random.Random], str | None]
) -> None:
    """Change the header of a file of tensors, or the values in one of its texts."""
    header, data = _parts(file)
    texts = header.get("__metadata__", {})
    name = rng.choice(sorted(texts)) if texts and rng.random() < 0.5 else ""
    if name and name != "sha256":
        import yaml

        inner = [yaml.safe_load(texts[name]) if name == "recipe" else json.loads(texts[name])]
        raw = change(*rng.choice(_nodes(inner)), rng)
        texts[name] = json.dumps(inner[0])
        if raw is not None:
            texts[name] = texts[name].replace('"RAW"', raw)
        return _pack(file, header, data)
    raw = change(*rng.choice(_nodes(header)), rng)
    return _pack(file, header, data, raw)


def _parts(file: Path) -> tuple[Any, bytes]:
    whole = file.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    return json.loads(whole[8 : 8 + size]), whole[8 + size :]


def _pack(file: Path, header: Any, data: bytes, raw: str | None = None) -> None:
    text = json.dumps(header)
    if raw is not None:
        text = text.replace('"RAW"', raw)
    head = text.encode("utf-8", "surrogatepass")
    file.write_bytes(struct.pack("<Q", len(head)) + head + data)


def other(holder: Any, name: Any, rng: random.Random) -> None:
    """A value of another type or size."""
    holder[name] = rng.choice(VALUES)


def number(holder: Any, name: Any, rng: random.Random) -> str:
    """A number that is none, or has no place in a float; values nested deep."""
    holder[name] = "RAW"
    return rng.choice(RAW)


def string(holder: Any, name: Any, rng: random.Random) -> None:
    """A text that commands terminals, leads elsewhere or is code."""
    holder[name] = rng.choice(STRINGS)


def key(holder: Any, name: Any, rng: random.Random) -> None:
    """A name lost, added, or another one."""
    kind = rng.randrange(3)
    if kind and isinstance(holder, dict):
        holder[rng.choice(STRINGS)] = holder[name]
    elif kind and isinstance(holder, list):
        holder.append(rng.choice(VALUES))
    if kind < 2:
        del holder[name]


def _strings(holder: Any, rng: random.Random) -> None:
    for inside, name in _nodes(holder):
        if isinstance(inside[name], str):
            inside[name] = inside[name] + rng.choice(STRINGS[:5])


def strings(holder: Any, name: Any, rng: random.Random) -> None:
    """Every text below one place ends in something that commands a terminal or is code."""
    _strings(holder, rng)


def twice(holder: Any, name: Any, rng: random.Random) -> str | None:
    """A name that stands twice."""
    if not isinstance(holder, dict):
        return None
    value = json.dumps(holder[name])
    holder[name] = "RAW"
    return f"{value}, {json.dumps(str(name))}: {value}"


for _change in (other, number, string, key, strings, twice):
    MUTATORS[_change.__name__] = _changing(_change)


@mutator
def tensors(file: Path, rng: random.Random) -> Any:
    """Tensors of other shapes and types that fill the same bytes, or of numbers that are none."""
    if file.suffix != ".safetensors":
        return False
    header, data = _parts(file)
    names = sorted(n for n in header if n != "__metadata__")
    entry = header[rng.choice(names)]
    start, end = entry["data_offsets"]
    kind = rng.randrange(6)
    if kind == 0:
        entry["shape"] = [int(np.prod(entry["shape"]))]
    elif kind == 1:
        entry["shape"] = [*entry["shape"], 1]
    elif kind == 2 and entry["dtype"] == "F32":
        entry["dtype"] = rng.choice(["I32", "U32", "F64", "F8_E4M3", "X"])
    elif kind == 3:
        data = data[:start] + rng.choice([b"\xff", b"\x7f"]) * (end - start) + data[end:]
    elif kind == 4:
        entry["data_offsets"] = rng.choice([[0, 1 << 62], [end, start], [-1, 3], [0, 0]])
    else:
        entry["shape"] = rng.choice([[1 << 40], [0], [-1], [1 << 32, 1 << 32]])
    header.get("__metadata__", {}).pop("sha256", None)
    _pack(file, header, data)
    _agree(file)
    return None


def _agree(file: Path) -> None:
    """Give ``state.json`` the digest of what was changed, as whoever means it does."""
    import hashlib

    state = file.parent / "state.json"
    if state.is_file():
        plain = json.loads(state.read_text())
        plain["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        state.write_text(json.dumps(plain))


@mutator
def length(file: Path, rng: random.Random) -> Any:
    """Another length of the header of tensors."""
    if file.suffix != ".safetensors":
        return False
    data = file.read_bytes()
    size = rng.choice([0, 1, 1 << 20, 1 << 27, 1 << 40, (1 << 64) - 1])
    return file.write_bytes(struct.pack("<Q", size) + data[8:])


@mutator
def image(file: Path, rng: random.Random) -> Any:
    """Another kind of image, or one that says it has a billion pixels."""
    if file.suffix != ".png":
        return False
    data = file.read_bytes()
    bomb = data[:16] + struct.pack(">II", rng.choice([0, 30_000, 1 << 31]), 30_000) + data[24:]
    svg = f'<svg xmlns="http://www.w3.org/2000/svg">{MARK}</svg>'.encode()
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff;"
    return file.write_bytes(rng.choice([bomb, svg, gif, data + svg, b"\x89PNG\r\n\x1a\n"]))


@mutator
def rows(file: Path, rng: random.Random) -> Any:
    """Other rows of a database, or a table less."""
    if file.suffix != ".db":
        return False
    with contextlib.closing(sqlite3.connect(file)) as base:
        names = [n for (n,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        table = rng.choice(sorted(names))
        columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
        kind = rng.randrange(4)
        if kind == 0:
            base.execute(f'DROP TABLE "{table}"')
        elif kind == 1:
            base.execute(f'DELETE FROM "{table}"')
        else:
            value = rng.choice([None, "x", -1, 1e300, STRINGS[0], "RUNNING", "[", 2**40, b"\xff"])
            with contextlib.suppress(sqlite3.Error):
                base.execute(f'UPDATE "{table}" SET "{rng.choice(columns)}" = ?', (value,))
        return base.commit()


# What is done with a mutant.


def look(world: World, mutant: "Mutant", everything: bool) -> Iterator[Callable[[], Any]]:
    """All that reads the copy of one place, step by step.

    Args:
        world: where.
        mutant: which place; its number chooses where steps take turns.
        everything: take all steps; else pages take turns, and what never reads the file is not
            called.
    """
    copy, number, kind = world.copy / mutant.kind, mutant.number, mutant.kind
    pages: list[Callable[[], Any]] = [
        lambda: page(world, copy, "en"),
        lambda: page(world, copy, "fa"),
    ]
    if kind in NETWORKS:
        other = world.whole / PLACES["flow" if kind == "ddpm" else "ddpm"]
        pages += [
            lambda: page(world, [copy, other], "en", report.write_comparison),
            lambda: pieces(copy),
        ]
        binary = mutant.file.endswith(".safetensors")
        yield lambda: naqsh.open(copy).sample(1)
        yield lambda: naqsh.open(copy, "best").sample(1)
        if everything or not binary:
            yield lambda: (naqsh.open(copy).curves, naqsh.open(copy)._repr_html_())
            yield from pages if everything else [pages[number % 4]]
        if everything or "evaluation" in mutant.file:
            yield lambda: naqsh.open(copy).evaluate("frechet", n=6, features="pixels")
        own = re.search("optimizers|state", mutant.file)  # nothing else reads these
        if everything or own or (number % 2 and not re.search(UNREAD, mutant.file)):
            yield lambda: resume(kind, copy)
    elif kind == "compare":
        yield from pages if everything else [pages[number % 2]]
        yield lambda: comparison.compare(plan(world.root.parent), copy, device="cpu", quiet=True)
    elif kind == "tune":
        yield lambda: search(copy)
    else:
        yield lambda: score(copy)


UNREAD = "png|networks|evaluation|samplers|guidance|bound|field|influences|detection"
UNREAD += "|translation|segment|editing"
"""Files that a resumed training does not read."""


def resume(kind: str, copy: Path) -> None:
    """One step of training more."""
    longer = tiny(kind).override({"training.steps": 4})
    naqsh.train(longer, out=copy, device="cpu")


def page(world: World, folders: Any, language: str, write: Any = report.write) -> None:
    """A report, whose text has neither controls nor code of a stranger's."""
    out = world.copy / "page.html"
    write(folders, out, language)
    text = out.read_text(encoding="utf-8")
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")} - {"\n"}
    assert not bad, f"the page has {bad!r}"
    turning = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067") & set(text)
    assert not turning, f"the page has {turning!r}"
    isolates = re.sub("[^\u2068\u2069]", "", text)
    while "\u2068\u2069" in isolates:
        isolates = isolates.replace("\u2068\u2069", "")
    assert not isolates, "isolates of the page do not match"
    assert MARK not in text, "code stands in the page"
    assert SECRET not in text, "a file from outside stands in the page"
    out.unlink()


def pieces(copy: Path) -> None:
    """What the notebook shows, each piece by itself."""
    shown = report.open(copy)
    text = json.dumps(notebook.build(shown, ["run"]), ensure_ascii=False)
    for name in shown.figures:
        text += shown.figure(name)._repr_html_()
    for name in shown.tables:
        text += shown.table(name)._repr_html_()
    for name in shown.sections:
        text += shown.text(name)._repr_html_()
    assert MARK not in text
    assert SECRET not in text


def score(copy: Path) -> None:
    """A saved detector's scores of two images."""
    loaded = detection.load(copy)
    loaded.flag(np.zeros((2, *loaded.shape), np.uint8))
    assert loaded.range is None or loaded.range


@dataclass(frozen=True)
class Mutant:
    """One damaged file.

    Attributes:
        number: which makes all the choices.
        kind: a key of :data:`PLACES`.
        file: in that place.
        name: of the mutator.
    """

    number: int
    kind: str
    file: str
    name: str

    def __str__(self) -> str:
        return f"mutant {self.number}: {self.kind}/{self.file} {self.name}"


def mutants(world: World, first: int, count: int) -> list[Mutant]:
    """Mutants by their numbers: files and mutators take turns."""
    able = [
        (kind, file, name) for kind, file in files(world) for name in MUTATORS if name != "nothing"
    ]
    able = [choice for choice in able if _applies(*choice)]
    made = []
    for number in range(first, first + count):
        turn, place = divmod(number, len(able))
        order = list(range(len(able)))
        random.Random(f"order {turn}").shuffle(order)
        made.append(Mutant(number, *able[order[place]]))
    return made


def _applies(kind: str, file: str, name: str) -> bool:
    suffix = Path(file).suffix
    wants = {
        "nothing": (),
        "recoded": TEXTS,
        "tensors": (".safetensors",),
        "length": (".safetensors",),
        "image": (".png",),
        "rows": (".db",),
    }
    changes = ("other", "number", "string", "key", "strings", "twice")
    return suffix in wants.get(name, (*TEXTS, ".safetensors") if name in changes else (suffix,))


def faults(
    world: World, mutant: Mutant, everything: bool = False, strict: bool = False
) -> list[str]:
    """What is wrong with how a mutant was answered; a line each.

    Args:
        world: where.
        mutant: which.
        everything: as for :func:`look`.
        strict: take a NaqshError for wrong too.
    """
    shutil.rmtree(world.copy, ignore_errors=True)
    world.copy.mkdir()
    copy = world.copy / mutant.kind
    shutil.copytree(world.whole / PLACES[mutant.kind], copy)
    MUTATORS[mutant.name](copy / mutant.file, random.Random(f"mutant {mutant.number}"))
    before = _tree(world)
    found = []
    for step, act in enumerate(look(world, mutant, everything)):
        if why := _answered(act, strict):
            found.append(f"{mutant}, step {step}: {why}")
    if _tree(world) != before:
        found.append(f"{mutant}: files outside of the folder have changed")
    return found


def _tree(world: World) -> list[tuple[str, int]]:
    """Everything outside of the copy, with when it changed."""
    beside = [p for p in world.root.iterdir() if p != world.copy]
    there = [*beside, *world.whole.rglob("*"), *world.root.parent.iterdir()]
    return sorted((str(p), p.lstat().st_mtime_ns) for p in there if p != world.root)


def _answered(act: Callable[[], Any], strict: bool = False) -> str:
    """What is wrong with one answer; nothing where it is a success or one line."""
    told = io.StringIO()
    stood = memory.reset_peak() or 0
    why = ""
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            act()
    except NaqshError as error:
        why = str(error) if strict else _line(str(error))
    except AssertionError as error:
        why = f"{error}"
    except Exception as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        code = where.tb_frame.f_code if where else None
        place = f"{Path(code.co_filename).name}:{where.tb_lineno}" if code and where else ""
        why = f"{type(error).__name__} at {place}: {str(error)[:200]}"
    if not why and any(unicodedata.category(c) == "Cc" for c in told.getvalue() if c not in "\n\r"):
        why = f"control characters were printed: {told.getvalue()!r:.200}"
    if not why and (taken := (memory.peak() or 0) - stood) > ROOM:
        why = f"{taken >> 20} MiB were taken"
    return why


def _line(said: str) -> str:
    if not said or "\n" in said:
        return f"a message is not one line: {said!r:.200}"
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in said):
        return f"a message has control characters: {said!r:.200}"
    if len(said) > 2000:
        return f"a message has {len(said)} characters: {said[:200]}"
    return ""
