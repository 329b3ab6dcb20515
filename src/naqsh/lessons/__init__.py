"""The lessons: questions of courses, answered by derivations that are checked by computing.

A lesson is a module (its checks, numbers and figures) and a text a language; see
:mod:`naqsh.lessons.lesson` and :mod:`naqsh.lessons.text`. Listing them imports no PyTorch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from naqsh.io import outputs
from naqsh.io.files import make_folder, write_text
from naqsh.lessons.course import COURSE, load, markdown, names, title

if TYPE_CHECKING:
    from naqsh.report.pieces import Report

__all__ = [
    "COURSE",
    "load",
    "markdown",
    "names",
    "open",
    "title",
    "write",
    "write_all",
    "write_notebook",
]


def open(name: str, language: str = "en") -> "Report":
    """Compute a lesson and open it to be shown piece by piece, for example in a notebook.

    Args:
        name: out of :func:`names`.
        language: ``en`` or ``fa``.

    Raises:
        NaqshError: there is no such lesson or language.
    """
    from naqsh.lessons import page
    from naqsh.report.pieces import Report
    from naqsh.report.words import Words

    words = Words(language)
    return Report(page.build(load(name), words))


def write(name: str, out: Path, language: str = "en") -> Path:
    """Write a lesson as one HTML page that needs nothing beside it, and return `out`.

    Raises as :func:`open`, or where `out` has no name of a page.
    """
    from naqsh.report import html

    outputs.require_name(out, "page")
    return _save(out, html.render(open(name, language).document))


def write_all(folder: Path, language: str = "en", overwrite: bool = False) -> list[Path]:
    """Write every lesson into a folder, and ``index.html``, which leads to them, at last.

    Args:
        folder: made where it is missing.
        language: ``en`` or ``fa``.
        overwrite: replace pages that stand there and that Naqsh did not write.

    Raises:
        NaqshError: the language is unknown, the folder cannot be made, or such a page stands there.
    """
    from naqsh.lessons import page
    from naqsh.report import html
    from naqsh.report.words import Words

    words = Words(language)
    for name in (*names(), "index"):  # before anything is computed
        outputs.require_file(folder / f"{name}.html", overwrite)
    written = [write(name, folder / f"{name}.html", language) for name in names()]
    titles = [(name, title(name, language)) for name in names()]
    return [*written, _save(folder / "index.html", html.render(page.index(titles, words)))]


def write_notebook(name: str, out: Path, language: str = "en") -> Path:
    """Write a lesson as an executed notebook, and return `out`, which ends in ``.ipynb``.

    Raises as :func:`open`, and where a package of the ``notebook`` extra is missing.
    """
    from naqsh.lessons import page
    from naqsh.report import notebook
    from naqsh.report.words import Words

    outputs.require_name(out, "notebook")
    words = Words(language)
    cells = page.cells(load(name), words)
    beside = out.absolute().parent
    make_folder(beside)
    return _save(out, notebook.run(notebook.of_cells(cells), beside))


def _save(out: Path, text: str) -> Path:
    make_folder(out.absolute().parent)
    write_text(out, text)
    return out
