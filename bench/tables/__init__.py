"""Comparison tables from recorded runs, as `bench table` prints them."""

from bench.tables.collect import rows
from bench.tables.formats import FORMATS, render
from bench.tables.row import Row

__all__ = ["FORMATS", "Row", "render", "rows"]
