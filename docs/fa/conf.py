"""The handbook's build in Persian: that of the English one, but for what is said here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conf import *  # noqa: F403

language = "fa"
locale_dirs = ["_locale"]
exclude_patterns = ["_build"]
html_title = "نقش"
