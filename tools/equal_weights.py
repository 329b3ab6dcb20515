"""Train the same recipes by two commits and compare their weights to the bit.

    python tools/equal_weights.py main~20 HEAD
    python tools/equal_weights.py v0.1 HEAD --recipes gan-digits maf-digits --steps 200

For changes that must not change arithmetic: moves, renames, new columns. Both commits are checked
out aside and run by this Python on this machine; equality to the bit holds nowhere
else. Exit 1 where a weight differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
RECIPES = (
    *("gan-digits", "wgan-gp-digits", "vae-digits", "maf-digits"),
    *("ddpm-digits", "controlvae-dsprites"),
)


def trained(source: Path, recipe: str, steps: int, seed: int, out: Path) -> dict[str, torch.Tensor]:
    """The weights that the code in a checkout trains."""
    words = [sys.executable, "-m", "naqsh", "train", recipe, "--steps", str(steps)]
    words += ["--seed", str(seed), "--device", "cpu", "--quiet", "--out", str(out)]
    code = os.environ | {"PYTHONPATH": str(source / "src")}
    subprocess.run(words, env=code, cwd=out.parent, check=True)
    return load_file(out / "checkpoints" / f"{steps:08d}" / "weights.safetensors")


def differences(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    """The names of the weights that differ, or that one of them lacks."""
    apart = sorted(one.keys() ^ other.keys())
    return apart + [
        name for name in one if name in other and not torch.equal(one[name], other[name])
    ]


def main() -> int:
    """Train and compare; prints a line a recipe."""
    parser = argparse.ArgumentParser(description="Compare the weights that two commits train.")
    parser.add_argument("before", help="a commit")
    parser.add_argument("after", help="another commit")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    unequal = 0
    with tempfile.TemporaryDirectory() as aside:
        sources = {}
        for name in ("before", "after"):
            sources[name] = Path(aside, name)
            commit = getattr(options, name)
            add = ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach"]
            subprocess.run([*add, str(sources[name]), commit], check=True)
        try:
            for recipe in options.recipes:
                weights = [
                    trained(
                        source, recipe, options.steps, options.seed, Path(aside, f"{name}-{recipe}")
                    )
                    for name, source in sources.items()
                ]
                differ = differences(*weights)
                unequal += bool(differ)
                print(
                    f"{recipe}: "
                    + (f"{differ[0]} and {len(differ) - 1} more differ" if differ else "equal"),
                    flush=True,
                )
        finally:
            for source in sources.values():
                remove = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(source)]
                subprocess.run(remove, check=False)
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
