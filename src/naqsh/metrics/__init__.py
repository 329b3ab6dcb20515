"""Measuring generated pictures: features, and what is computed from features.

Everything here takes and gives tensors (numpy arrays are taken too) and knows nothing of runs.
"""

from naqsh.metrics.extractors import NAMES, FunctionFeatures, Pixels, by_name
from naqsh.metrics.features import FeatureExtractor, extract
from naqsh.metrics.frechet import frechet_distance, frechet_distance_features
from naqsh.metrics.moments import Moments

__all__ = [
    "NAMES",
    "FeatureExtractor",
    "FunctionFeatures",
    "Moments",
    "Pixels",
    "by_name",
    "extract",
    "frechet_distance",
    "frechet_distance_features",
]
