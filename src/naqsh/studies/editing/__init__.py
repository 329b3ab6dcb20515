"""Editing images with a run as it was trained: parts filled, strokes made images, two blended.

`images` brings what a user gives to the run's size, `edit` does it, `saved` writes and records it.
"""

from naqsh.studies.editing.edit import Edited, edit
from naqsh.studies.editing.images import SIDES
from naqsh.studies.editing.saved import Saved, save

__all__ = ["SIDES", "Edited", "Saved", "edit", "save"]
