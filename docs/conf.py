"""The handbook's build in English: `make docs`, then open docs/_build/index.html."""

import sys
from pathlib import Path

import naqsh

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_handbook"))

project = "Naqsh"
author = copyright = "The Naqsh developers"
release = naqsh.__version__
language = "en"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "handbook"]
exclude_patterns = ["_build", "fa"]
napoleon_use_ivar = True  # an attribute that is a member too is described once
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = ["wandb"]
myst_enable_extensions = ["dollarmath", "deflist"]
html_theme = "furo"
html_title = "Naqsh"
html_math_renderer = "mathml"
html_static_path = [str(HERE / "_static"), "_generated"]
templates_path = [str(HERE / "_templates")]
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
