"""The handbook's build: `make docs`, then open docs/_build/index.html."""

import naqsh

project = "Naqsh"
author = copyright = "The Naqsh developers"
release = naqsh.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
exclude_patterns = ["_build"]
napoleon_use_ivar = True  # an attribute that is a member too is described once
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = ["wandb"]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
