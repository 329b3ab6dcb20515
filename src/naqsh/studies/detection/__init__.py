"""Finding what is not as it should be, by a run that was trained on what is.

``detect`` scores images by all that a run's method can say of them (its likelihood, what it makes
of them when it reconstructs), beside baselines that need no training, and writes what it found into
the run folder. A threshold comes from normal images alone; labels, where there are any, only
measure how good the scores are.
"""

from naqsh.studies.detection.detect import detect
from naqsh.studies.detection.detector import Detector, images_of, is_detector, load, require_place
from naqsh.studies.detection.printed import lines, table
from naqsh.studies.detection.result import Detection

__all__ = [
    "Detection",
    "Detector",
    "detect",
    "images_of",
    "is_detector",
    "lines",
    "load",
    "require_place",
    "table",
]
