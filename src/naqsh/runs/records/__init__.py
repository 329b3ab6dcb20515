"""One schema for each JSON file that a run or a study leaves: who writes and who reads share it.

Training and studies write records by :func:`plain`; the report, and whoever else opens a folder,
reads them by :func:`read`. What someone else or a later version has written beside is passed over,
and what does not fit is one line that names it. Nothing here needs PyTorch.

================  ==================================================================
``training``      ``run.json``, ``networks.json``, the logs of lines, ``state.json``
``evaluation``    ``evaluation.json``
``samplers``      ``samplers.json``, ``guidance.json``
``bound``         ``bound.json``
``measured``      what several of these files share
``detection``     ``detection.json``
``comparison``    ``comparison.json``
``translation``   ``translation.json``
``segmentation``  ``segmentation.json``
``editing``       ``editing.json``
``failures``      ``failures.json``
``field``         ``field.json``
================  ==================================================================
"""

from naqsh.runs.records.bound import Bound, BoundOf
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
from naqsh.runs.records.editing import Edit, EditOf
from naqsh.runs.records.evaluation import Conditions, Followed, Nearest, Shares, Step
from naqsh.runs.records.failures import (
    BINS,
    Circle,
    Course,
    Density,
    Failures,
    Trial,
    Tried,
    Vanishing,
)
from naqsh.runs.records.field import Field, FieldOf, Level
from naqsh.runs.records.measured import Better, Floor, Found, Interval, Mean, Measure, known
from naqsh.runs.records.samplers import Drawn, Exact, ExactPoint, Point, Scale
from naqsh.runs.records.schema import checked, plain, read
from naqsh.runs.records.segmentation import (
    FEATURES,
    Classified,
    Segmentation,
    SegmentationOf,
)
from naqsh.runs.records.training import (
    About,
    Data,
    Histogram,
    Layer,
    Note,
    Record,
    Saved,
    Stage,
)
from naqsh.runs.records.translation import (
    HIDDEN,
    NOTICED,
    OF_NOISE,
    Disturbed,
    Translation,
    TranslationOf,
    rise,
)

__all__ = [
    "BINS",
    "FEATURES",
    "HIDDEN",
    "NOTICED",
    "OF_NOISE",
    "About",
    "Best",
    "Better",
    "Bound",
    "BoundOf",
    "Choice",
    "Circle",
    "Classified",
    "Comparison",
    "Conditions",
    "Constant",
    "Course",
    "Data",
    "Density",
    "Detection",
    "Disturbed",
    "Drawn",
    "Edit",
    "EditOf",
    "Entry",
    "Exact",
    "ExactPoint",
    "Failures",
    "Field",
    "FieldOf",
    "Floor",
    "Followed",
    "Found",
    "Histogram",
    "Interval",
    "Kind",
    "Layer",
    "Less",
    "Level",
    "Mean",
    "Measure",
    "Nearest",
    "Normal",
    "Note",
    "Plainness",
    "Plan",
    "Point",
    "Quality",
    "Record",
    "Roc",
    "Saved",
    "Scale",
    "Scorer",
    "Segmentation",
    "SegmentationOf",
    "Shares",
    "Spread",
    "Stage",
    "Step",
    "Suspects",
    "Translation",
    "TranslationOf",
    "Trial",
    "Tried",
    "Vanishing",
    "checked",
    "known",
    "plain",
    "read",
    "rise",
]
