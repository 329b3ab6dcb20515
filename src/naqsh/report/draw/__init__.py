"""Figures and panels of the report."""
