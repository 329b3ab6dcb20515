"""One module a verb: its parser with the help, and its work."""
