"""A report as a notebook: cells that open the runs and draw each figure and table, executed.

The notebook names its runs by paths relative to itself, and carries nothing of the machine or the
moment of its execution, so that the same runs give the same notebook. It needs the packages of the
``notebook`` extra.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.report.document import Figure, Section, Table
from naqsh.report.pieces import Report
from naqsh.report.words import Words

SECONDS = 600
"""The longest that one cell may take."""


def execute(report: Report, folders: Sequence[Path], beside: Path) -> str:
    """The executed notebook that shows a report of `folders`, to lie in the folder `beside`.

    Raises as :func:`run`.
    """
    return run(build(report, [_relative(folder, beside) for folder in folders]), beside)


def run(plain: dict[str, Any], beside: Path) -> str:
    """A notebook with the outputs of its cells, as the text of its file.

    Args:
        plain: the plain data of its file.
        beside: the folder that it is to lie in.

    Raises:
        NaqshError: a package is missing, or a cell fails.
    """
    try:
        import nbformat
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError

        importlib.import_module("ipykernel")  # the notebook's Python needs it, not this one
    except ImportError as error:
        raise NaqshError(
            f"a notebook needs the package {error.name}; try: pip install 'naqsh[notebook]'"
        ) from error

    class ThisPython(KernelSpecManager):
        """Knows one kernel: the Python that runs now, whatever is installed elsewhere."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=start, display_name="Python 3", language="python")

    notebook = nbformat.from_dict(plain)  # type: ignore[no-untyped-call]
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
    with tempfile.TemporaryDirectory() as aside:
        if os.name == "posix":
            # Files of our own instead of ports that anyone on the machine can reach.
            manager.transport, manager.ip = "ipc", str(Path(aside) / "kernel")
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=SECONDS,
            record_timing=False,
            resources={"metadata": {"path": str(beside)}},
        )
        # Neither the user's settings nor their history are of this notebook.
        settings = os.environ | {"IPYTHONDIR": aside}
        try:
            # Ours to end too: the client would leave a manager that it was given running.
            client.execute(env=settings, cleanup_kc=True)
        except CellExecutionError as error:
            said = " ".join(f"{error.ename}: {error.evalue}".split())
            raise NaqshError(f"the notebook could not be executed: {said}") from error
        except (RuntimeError, TimeoutError) as error:
            said = " ".join(str(error).split())
            raise NaqshError(f"the notebook's Python stopped or hung: {said}") from error
    notebook["metadata"] = _metadata()
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return text + "\n"


def build(report: Report, folders: Sequence[str]) -> dict[str, Any]:
    """The notebook before it is executed, as the plain data of its file."""
    document = report.document
    words = document.words
    places = json.dumps(list(folders) if len(folders) > 1 else folders[0], ensure_ascii=False)
    leads = "\n\n".join(_paragraph(words, lead) for lead in document.leads)
    title = _paragraph(words, document.title, "h1")
    cells = [
        text_cell(f"{title}\n\n{leads}"),
        code_cell(
            "from naqsh import report\n\n"
            f"page = report.open({places}, language={json.dumps(words.language)})"
        ),
    ]
    for section in document.sections:
        head = _paragraph(words, section.title, "h2")
        cells.append(text_cell(f"{head}\n\n{_paragraph(words, section.lead)}".strip()))
        cells += [code_cell(line) for line in _lines(section)]
    return of_cells(cells)


def of_cells(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A notebook of some cells, as the plain data of its file."""
    numbered = [cell | {"id": f"cell-{number:02d}"} for number, cell in enumerate(cells, 1)]
    return {"cells": numbered, "metadata": _metadata(), "nbformat": 4, "nbformat_minor": 5}


def _lines(section: Section) -> list[str]:
    """The expressions that show a section's blocks, each of which is a cell."""
    found = []
    for block in section.blocks:
        name = block.name if isinstance(block, Figure | Table) else section.id
        kind = block.kind if isinstance(block, Figure | Table) else "text"
        found.append(f"page.{kind}({json.dumps(name)})")
    return list(dict.fromkeys(found))


def _paragraph(words: Words, text: str, tag: str = "p") -> str:
    """HTML within Markdown, so that names are not read as Markdown or as formulas."""
    if not text:
        return ""
    direction, language = words.plain("direction"), words.plain("language")
    safe = str(text).replace("$", "&#36;").replace("\n", " ")
    return f'<{tag} dir="{direction}" lang="{language}">{safe}</{tag}>'


def _relative(folder: Path, beside: Path) -> str:
    """A folder as seen from another one; as it is where there is no way."""
    try:
        return Path(os.path.relpath(folder, beside)).as_posix()
    except ValueError:  # another drive of Windows
        return folder.absolute().as_posix()


def text_cell(source: str) -> dict[str, Any]:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def code_cell(source: str) -> dict[str, Any]:
    """A cell of Python, not yet executed."""
    cell = {"cell_type": "code", "metadata": {}, "source": source}
    return cell | {"execution_count": None, "outputs": []}


def _metadata() -> dict[str, Any]:
    return {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "generator": "Naqsh",
    }
