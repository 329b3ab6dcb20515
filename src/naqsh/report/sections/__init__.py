"""Sections of the report: each turns what was read into pieces."""
