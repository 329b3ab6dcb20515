"""One schema for each JSON file that a run or a study leaves: who writes and who reads share it.

Training and studies write records by :func:`plain`; the report, and whoever else opens a folder,
reads them by :func:`read`. What someone else or a later version has written beside is passed over,
and what does not fit is one line that names it. Nothing here needs PyTorch.

===============  =====================================================
``measured``     ``evaluation.json``, ``samplers.json``, ``bound.json``
``detection``    ``detection.json``
``comparison``   ``comparison.json``
``translation``  ``translation.json``
===============  =====================================================
"""

from naqsh.runs.records.comparison import Comparison, Entry, Plan
from naqsh.runs.records.detection import (
    Best,
    Choice,
    Constant,
    Detection,
    Kind,
    Less,
    Normal,
    Plainness,
    Quality,
    Roc,
    Scorer,
    Spread,
    Suspects,
)
from naqsh.runs.records.measured import (
    Better,
    Bound,
    BoundOf,
    Conditions,
    Drawn,
    Floor,
    Found,
    Interval,
    Mean,
    Measure,
    Nearest,
    Point,
    Step,
    known,
)
from naqsh.runs.records.schema import checked, plain, read
from naqsh.runs.records.translation import Disturbed, Translation, TranslationOf

__all__ = [
    "Best",
    "Better",
    "Bound",
    "BoundOf",
    "Choice",
    "Comparison",
    "Conditions",
    "Constant",
    "Detection",
    "Disturbed",
    "Drawn",
    "Entry",
    "Floor",
    "Found",
    "Interval",
    "Kind",
    "Less",
    "Mean",
    "Measure",
    "Nearest",
    "Normal",
    "Plainness",
    "Plan",
    "Point",
    "Quality",
    "Roc",
    "Scorer",
    "Spread",
    "Step",
    "Suspects",
    "Translation",
    "TranslationOf",
    "checked",
    "known",
    "plain",
    "read",
]
