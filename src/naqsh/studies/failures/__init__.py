"""The three failures of GANs by numbers, and what is tried against them."""

from naqsh.studies.failures.remedies import REMEDIES
from naqsh.studies.failures.work import DATA, study, trial

__all__ = ["DATA", "REMEDIES", "study", "trial"]
