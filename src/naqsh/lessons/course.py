"""Which lessons there are; knowing that imports no PyTorch."""

import importlib
import pkgutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from naqsh.core.errors import one_of
from naqsh.io.texts import LANGUAGES

if TYPE_CHECKING:
    from naqsh.lessons.lesson import Lesson

COURSE = (
    "pixel-shuffle",
    "gan-objective",
    "narrow-gaussians",
    "gan-failures",
    "wasserstein-gan",
    "gan-line",
    "ssgan",
    "stackgan",
    "fid",
    "vae",
    "trilemma",
    "forward-diffusion",
    "reverse-process",
    "variational-bound",
    "unet-time",
    "latent-diffusion",
    "ddim",
    "diffusion-segmentation",
    "score-matching",
    "change-of-variables",
    "maf-iaf",
    "likelihood-anomalies",
    "cyclegan",
)
"""The lessons in the order of the course."""


def names() -> list[str]:
    """The lessons that there are, in the order of the course."""
    there = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    return [name for name in COURSE if name.replace("-", "_") in there]


def load(name: str) -> "Lesson":
    """A lesson; raises NaqshError with the nearest name where there is none."""
    known = names()
    if name not in known:
        raise one_of("lesson", name, known)
    lesson: Lesson = importlib.import_module(f"{__package__}.{name.replace('-', '_')}").LESSON
    return lesson


def title(name: str, language: str = "en") -> str:
    """What a lesson is called, without loading it: the first line of its text.

    Raises NaqshError where there is no such language.
    """
    if language not in LANGUAGES:
        raise one_of("language", language, LANGUAGES)
    return markdown(name, language).partition("\n")[0].removeprefix("# ").strip()


def markdown(name: str, language: str = "en") -> str:
    """The text of a lesson as Markdown, its values not yet filled in."""
    file = resources.files(__package__) / "texts" / f"{name}.{language}.md"
    return file.read_text(encoding="utf-8")
