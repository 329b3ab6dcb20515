"""What a run folder holds, and how it is read and written."""
