"""Every family on one data set under one budget: trained, measured alike, and laid side by side."""

from naqsh.runs.records import Entry, Plan
from naqsh.studies.comparison.plan import FAMILIES, families
from naqsh.studies.comparison.work import Compared, compare

__all__ = ["FAMILIES", "Compared", "Entry", "Plan", "compare", "families"]
