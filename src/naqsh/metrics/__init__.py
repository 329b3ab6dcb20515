"""Measuring generated images: features, and what is computed from features.

Everything here takes and gives tensors (numpy arrays are taken too) and knows nothing of runs.
"""

from naqsh.metrics.classifier import (
    ClassifierFeatures,
    load_classifier,
    save_classifier,
)
from naqsh.metrics.evaluate import applying, described, measure, named, require_enough
from naqsh.metrics.extractors import (
    NAMES,
    SHIPPED,
    Coordinates,
    FunctionFeatures,
    Pixels,
    by_name,
)
from naqsh.metrics.features import FeatureExtractor, extract, modes_known, takes_points
from naqsh.metrics.frechet import frechet_distance, frechet_distance_features
from naqsh.metrics.influence import Difference, Influence, difference
from naqsh.metrics.kernel import kernel_distance, kernel_influence
from naqsh.metrics.likelihood import Likelihood, likelihood
from naqsh.metrics.manifold import density_coverage, precision_recall
from naqsh.metrics.modes import Gaussians
from naqsh.metrics.moments import Moments
from naqsh.metrics.nearness import Nearness, nearest, nearness
from naqsh.metrics.registry import METRICS, Tables, Value, declare
from naqsh.metrics.result import CAUTIONS, COVERS, Caution, Measure, compare
from naqsh.metrics.score import classifier_score
from naqsh.metrics.speed import Speed, sampling_speed
from naqsh.metrics.uncertainty import (
    frechet_bootstrap,
    frechet_infinity,
    frechet_influence,
    frechet_standard_error,
)

__all__ = [
    "CAUTIONS",
    "COVERS",
    "METRICS",
    "NAMES",
    "SHIPPED",
    "Caution",
    "ClassifierFeatures",
    "Coordinates",
    "Difference",
    "FeatureExtractor",
    "FunctionFeatures",
    "Gaussians",
    "Influence",
    "Likelihood",
    "Measure",
    "Moments",
    "Nearness",
    "Pixels",
    "Speed",
    "Tables",
    "Value",
    "applying",
    "by_name",
    "classifier_score",
    "compare",
    "declare",
    "density_coverage",
    "described",
    "difference",
    "extract",
    "frechet_bootstrap",
    "frechet_distance",
    "frechet_distance_features",
    "frechet_infinity",
    "frechet_influence",
    "frechet_standard_error",
    "kernel_distance",
    "kernel_influence",
    "likelihood",
    "load_classifier",
    "measure",
    "modes_known",
    "named",
    "nearest",
    "nearness",
    "precision_recall",
    "require_enough",
    "sampling_speed",
    "save_classifier",
    "takes_points",
]
