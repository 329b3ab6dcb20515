"""A search over a recipe's numbers that resumes and is shared by processes."""

from naqsh.studies.tune.ranges import Range, default_space, parse
from naqsh.studies.tune.trials import Best, score, search

__all__ = ["Best", "Range", "default_space", "parse", "score", "search"]
