"""``python -m naqsh`` is the command ``naqsh``."""

import sys

from naqsh.cli import main

sys.exit(main())
