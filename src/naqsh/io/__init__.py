"""Files, folders, downloads and what is shown while they are read and written."""
