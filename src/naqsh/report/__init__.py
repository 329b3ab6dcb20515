"""One self-contained HTML page about a run, about several side by side, or about a comparison.

``read/`` makes values of run folders, ``draw/`` images of values, ``sections/`` pieces of both;
``page`` and ``comparison`` make a document of the pieces, which ``html``, ``pieces`` and
``notebook`` show, in the words of a language. A page depends on the bytes of its run folders alone:
no clock, no path of the machine, no network.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from naqsh.core.errors import NaqshError
from naqsh.io import outputs
from naqsh.io.files import make_folder, write_text

if TYPE_CHECKING:
    from naqsh.report.document import Document
    from naqsh.report.pieces import Piece, Report

# What draws is imported inside functions, so that `import naqsh.report` costs nothing.

__all__ = ["Piece", "Report", "open", "write", "write_comparison", "write_notebook"]


def write(folder: Path | Sequence[Path], out: Path, language: str = "en") -> Path:
    """Write the report of one run folder, of several side by side, or of a comparison.

    Args:
        folder: a run folder or several, or one that `naqsh compare` made.
        out: the HTML file; its folder is made where it is missing.
        language: ``en`` or ``fa``.

    Returns:
        `out`.

    Raises:
        NaqshError: a folder holds no run, a recipe is damaged, or `out` has no name of a page.
    """
    from naqsh.report import html

    outputs.require_name(out, "page")
    return _save(out, html.render(_document(_several(folder), language)))


def write_comparison(
    folders: Path | Sequence[Path], out: Path, language: str = "en", *, taken: Collection[str] = ()
) -> Path:
    """Write the page that ranks runs by quality, diversity and speed, and return `out`.

    Args:
        folders: a folder with ``comparison.json``, which names the runs, the budget and what
            failed, or run folders.
        out: as for :func:`write`.
        language: ``en`` or ``fa``.
        taken: run folders outside of the comparison's that may be shown; ``comparison.json`` alone
            leads to none.

    Raises:
        NaqshError: there is no run to show, a file is damaged, or `out` has no name of a page.
    """
    from naqsh.report import comparison, html
    from naqsh.report.words import Words

    outputs.require_name(out, "page")
    found = comparison.read(folders if isinstance(folders, Path) else _several(folders), taken)
    return _save(out, html.render(comparison.build(found, Words(language))))


def cautions(folder: Path, taken: Collection[str] = ()) -> list[str]:
    """What must be known to read the figures of a comparison, in English; as its page says it."""
    from naqsh.report import comparison
    from naqsh.report.words import Words

    found = comparison.read(folder, taken)
    return [str(said.striptags()) for said in comparison.cautions(Words("en"), found)]


def write_notebook(folder: Path | Sequence[Path], out: Path, language: str = "en") -> Path:
    """Write the same as :func:`write` as a notebook, executed, with its outputs stored.

    `out` ends in ``.ipynb``. Raises NaqshError as :func:`write` does, and where a package of the
    ``notebook`` extra is missing.
    """
    from naqsh.report import notebook
    from naqsh.report.pieces import Report

    outputs.require_name(out, "notebook")
    folders = _several(folder)
    shown = Report(_document(folders, language))
    beside = out.absolute().parent
    make_folder(beside)
    return _save(out, notebook.execute(shown, folders, beside))


def open(folder: str | Path | Sequence[str | Path], language: str = "en") -> "Report":
    """Open a report to show it piece by piece, for example in a notebook.

    Arguments and errors are those of :func:`write`. The report's ``figure(name)``, ``table(name)``
    and ``text(section)`` show themselves; ``figures``, ``tables`` and ``sections`` are the names.
    """
    from naqsh.report.pieces import Report

    named = [folder] if isinstance(folder, str | Path) else list(folder)
    return Report(_document(_several([Path(name) for name in named]), language))


def __getattr__(name: str) -> type:
    if name in ("Piece", "Report"):
        from naqsh.report import pieces

        found: type = getattr(pieces, name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _document(folders: Sequence[Path], language: str) -> "Document":
    from naqsh.report import comparison, failures, page
    from naqsh.report.read import gather
    from naqsh.report.words import Words

    words = Words(language)
    if len(folders) == 1 and (folders[0] / failures.FILE).is_file():
        return failures.build(folders[0], words)
    if len(folders) == 1 and (folders[0] / comparison.FILE).is_file():
        return comparison.build(comparison.read(folders[0]), words)
    return page.build(gather.read(folders), words)


def _several(folder: Path | Sequence[Path]) -> list[Path]:
    folders = [folder] if isinstance(folder, Path) else list(folder)
    if not folders:
        raise NaqshError("a report needs at least one run folder")
    return folders


def _save(out: Path, text: str) -> Path:
    make_folder(out.absolute().parent)
    write_text(out, text)
    return out
