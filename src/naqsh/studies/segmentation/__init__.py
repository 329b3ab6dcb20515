"""Segmentation from a few labelled images, by the features of a trained diffusion model."""

from naqsh.studies.segmentation.applying import apply
from naqsh.studies.segmentation.measuring import study
from naqsh.studies.segmentation.segmented import Segmented

__all__ = ["Segmented", "apply", "study"]
