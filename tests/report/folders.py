"""Run folders as training leaves them, made of numbers alone."""

import json
import math
import shutil

import numpy as np
import yaml
from PIL import Image

BATCH = 64
COUNT = 6400


def make_run(
    path,
    *,
    name="gan-tiny",
    seed=0,
    records=200,
    layers=4,
    stages=3,
    notes=(),
    plain=False,
    **recipe,
):
    """A whole, finished run of two phases.

    Args:
        path: its folder.
        name: of the recipe.
        seed: of its curves and images.
        records: lines of the log.
        layers: of each network.
        stages: lines of stages.jsonl.
        notes: what the diagnosis said.
        plain: log the totals alone, so that a page has few figures and is quick to make.
        recipe: changes of the recipe's method.
    """
    random = np.random.default_rng(seed)
    for folder in ("grids", "checkpoints"):
        (path / folder).mkdir(parents=True)
    last = 50 * records
    _write_fixed(path, name, last, layers, recipe)
    lines = [_record(50 * n, n / records, random, layers) for n in range(1, records + 1)]
    if plain:
        lines = [line | {"losses": _totals(line["losses"]), "gradients": {}} for line in lines]
    write_lines(path / "metrics.jsonl", lines)
    ends = [math.ceil(last * (n + 1) / stages) for n in range(stages)]
    shown = [_stage(path, step, random) for step in ends]
    write_lines(path / "stages.jsonl", [s | {"weights": {}} for s in shown] if plain else shown)
    write_lines(
        path / "diagnosis.jsonl",
        [_progress(50) | {"words": words} for words in notes],
    )
    (path / "checkpoints" / f"{last:08d}").mkdir()
    return path


def evaluation(values, n=500):
    """An ``evaluation.json`` of samples.

    Args:
        values: the Frechet distance and half of its interval, precision, recall, density, coverage,
            images a second, and network evaluations an image.
        n: of samples.
    """
    fid, half, precision, recall, density, coverage, speed, evaluations = values
    numbers = {
        "frechet": (fid, [fid - half, fid + half]),
        "kernel": (fid / 100, None),
        "precision": (precision, None),
        "recall": (recall, None),
        "density": (density, None),
        "coverage": (coverage, None),
    }
    base = {"n_real": 297, "n_generated": n, "features": "digits", "fingerprint": "0" * 16}
    base |= {"reference": "digits test", "standard_error": None, "notes": []}
    return {
        "step": 250,
        "seed": 0,
        "measures": [
            base | {"name": name, "value": value, "interval": interval}
            for name, (value, interval) in numbers.items()
        ],
        "speed": {
            "pictures_per_second": speed,
            "evaluations_per_picture": evaluations,
            "peak_memory": 2**20,
            **{"parameters": 10, "n": 200, "device": "cpu"},
        },
    }


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def forget(path, name):
    """Remove a file or empty a folder of a run."""
    if (path / name).is_dir():
        shutil.rmtree(path / name)
    else:
        (path / name).unlink()


def _write_fixed(path, name, last, layers, changes):
    training = {"epochs": last * BATCH / COUNT, "steps": None, "batch": BATCH, "seed": 0}
    recipe = {
        "name": name,
        "data": {"name": "tiny", "size": None, "flip": False},
        "method": {"kind": "gan", "clip": None, "critic": {"lr": 0.0002, "betas": [0.5, 0.999]}}
        | changes,
        "training": training,
    }
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    about = {
        "format": 1,
        "naqsh": "0.1.0",
        "recipe": "0123456789ab",
        "data": {
            "name": "tiny",
            "fingerprint": "fedcba9876543210",
            "count": COUNT,
            "shape": [1, 8, 8],
            "classes": ["round", "square"],
        },
        "parameters": 2 * layers * 1234,
        "memory": 1536 * 1024,
        "environment": {"python": "3.11.7", "device": "cpu", "ranks": 1, "torch": "2.6.0"},
    }
    (path / "run.json").write_text(json.dumps(about), encoding="utf-8")
    networks = {
        phase: [
            {"name": f"conv{n}", "kind": "Conv2d", "output": [8, 4, 4], "parameters": 1234}
            for n in range(layers)
        ]
        for phase in ("critic", "generator")
    }
    (path / "networks.json").write_text(json.dumps(networks), encoding="utf-8")


def _progress(step):
    seen = step * BATCH
    return {"step": step, "epoch": seen / COUNT, "seen": seen, "seconds": step / 7}


def _record(step, part, random, layers):
    noise = random.normal(size=8)
    losses = {
        "critic.total": 0.5 + 0.1 * noise[0],
        "critic.real": 3 * part + noise[1],
        "critic.fake": -3 * part + noise[2],
        "critic.accuracy": 0.8 + 0.02 * noise[3],
        "generator.total": 2 - part + 0.3 * noise[4],
        "generator.diversity": 0.9 + 0.05 * noise[5],
    }
    gradients = {
        f"{phase}.conv{n}.weight": float(np.exp(random.normal() - n))
        for phase in ("critic", "generator")
        for n in range(layers)
    }
    record = _progress(step) | {"speed": 1000 + 50 * noise[6], "losses": losses}
    return record | {"gradients": gradients}


def _totals(losses):
    return {name: value for name, value in losses.items() if name.endswith(".total")}


def _stage(path, step, random):
    pixels = random.integers(0, 256, (64, 64), dtype=np.uint8)
    grid = path / "grids" / f"{step:08d}.png"
    Image.fromarray(pixels).save(grid)
    weights = {}
    for phase in ("critic", "generator"):
        counts, edges = np.histogram(random.normal(size=2000), bins=61)
        weights[phase] = {"edges": edges.tolist(), "counts": counts.astype(float).tolist()}
    return _progress(step) | {"weights": weights, "grid": grid.name}
