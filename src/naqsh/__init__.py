"""Naqsh trains, samples, measures, explains and compares deep generative models."""

__version__ = "0.1.0"
