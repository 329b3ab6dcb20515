"""Curves that do not mislead, and SVG that fits a page."""

import re

import numpy as np
import pytest

from naqsh.report.draw import figures, palette, panels, svg
from naqsh.report.draw.curves import envelope, evenly, running_mean, window
from naqsh.report.read.facts import Curve
from naqsh.report.words import Words
from naqsh.runs.records import Histogram

ENGLISH = Words("en")


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_running_mean_is_the_mean_of_the_neighbours(width):
    values = np.random.default_rng(0).normal(size=23)
    half = width // 2
    expected = [values[max(0, n - half) : n + half + 1].mean() for n in range(23)]
    np.testing.assert_allclose(running_mean(values, width), expected)


def test_few_values_are_not_smoothed():
    assert window(59) == 1
    assert window(60) == 3
    assert window(20_000) == 1000


def test_thinning_keeps_spikes_and_order():
    x, y = np.arange(10_000.0), np.zeros(10_000)
    y[1234], y[8765] = 50, -70
    short_x, short_y = envelope(x, y, 200)
    assert len(short_x) <= 200
    assert np.all(np.diff(short_x) > 0)
    assert (short_y.max(), short_y.min()) == (50, -70)
    np.testing.assert_array_equal(short_y, y[short_x.astype(int)])


def test_even_thinning_keeps_both_ends():
    x = np.arange(1000.0)
    short, values = evenly(x, x**2, 60)
    assert len(short) == 60
    assert (short[0], short[-1]) == (0, 999)
    np.testing.assert_array_equal(values, short**2)


def _line(values):
    curve = Curve([float(n) for n in range(len(values))], [float(value) for value in values])
    return figures.Line(curve, palette.colour(0))


def test_labels_of_axes_keep_their_digits():
    drawn = figures.lines(
        [_line(np.linspace(0.0001, 0.0005, 9))], "epochs", words=ENGLISH, name="a"
    )
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert "0.0001" in texts
    assert len(set(texts)) == len(texts)


def test_no_series_hides_the_mean_of_another():
    random = np.random.default_rng(0)
    first, second = _line(random.normal(size=200)), _line(random.normal(size=200))
    drawn = figures.lines([first, second], "epochs", words=ENGLISH, name="a")
    faint = [m.start() for m in re.finditer("stroke-opacity: 0.3", drawn)]
    bold = [m.start() for m in re.finditer("stroke-width: 1.7", drawn)]
    assert (len(faint), len(bold)) == (2, 2)
    assert max(faint) < min(bold)


def test_the_colours_are_the_pages():
    drawn = figures.lines([_line(range(9))], "epochs", words=ENGLISH, name="a")
    assert "var(--c0)" in drawn
    assert "currentColor" in drawn
    assert not re.search("#[0-9a-f]{6}", drawn)


def test_a_log_axis_leaves_out_what_has_no_logarithm():
    drawn = figures.lines([_line([0, 1, 10, 100, 0])], "epochs", words=ENGLISH, name="a", log=True)
    again = figures.lines([_line([0, 1, 10, 100])], "epochs", words=ENGLISH, name="a", log=True)
    assert drawn.count("<use") == again.count("<use")
    assert "10" in re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def test_one_value_and_equal_values_can_be_drawn():
    for values in ([3], [3, 3, 3], [0]):
        assert figures.lines([_line(values)], "epochs", words=ENGLISH, name="a").startswith("<svg")
    for counts in ([0.0, 5.0], [0.0, 0.0]):
        spread = figures.Spread(Histogram([0.0, 0.5, 1.0], counts), "#0072b2")
        drawn = figures.histograms([spread], "weight", words=ENGLISH, name="a")
        assert drawn.startswith("<svg")


def test_a_run_of_many_series_has_distinct_lines():
    keys = {(palette.colour(n), palette.dash(n)) for n in range(18)}
    assert len(keys) == 18
    assert len(set(palette.ramp(60))) == 60


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3294154, "3,294,154"),
        (-12, "−12"),
        (0.0, "0"),
        (0.30084, "0.3008"),
        (-24.531, "−24.53"),
        (1234.56, "1,235"),
        (99999.9, "100,000"),
        (0.000183, "0.000183"),
        (2.5e9, "2.5\u2009×\u200910<sup>9</sup>"),
    ],
)
def test_numbers_are_written_to_be_read(value, text):
    assert Words("en").number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_times(seconds, text):
    assert Words("en").time(seconds) == text


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ([[3000.0, 100.0, 20.0]], True),
        ([[3000.0, 100.0, 20.0], [3000.0, 300.0, 200.0]], False),  # one of them stays up
        ([[3.0, 2.0, 1.0]], False),
        ([[3000.0, 1.0, -5.0]], False),
        ([[0.0, 0.0]], False),
        ([[]], False),
    ],
)
def test_a_curve_that_falls_far_gets_a_logarithmic_axis(values, far):
    curves = [Curve(list(range(len(one))), one) for one in values]
    assert panels.falls_far(curves) == far


RULED = {
    "prolog": ("<?xml?>\n<!DOCTYPE x>\n<svg>a</svg>", "<svg>a</svg>"),
    "metadata": ("<svg><metadata>\n<a/>\n</metadata>\n <g/>", "<svg><g/>"),
    "style": (
        "<defs>\n<style type='x'>*{}\n</style>\n</defs>\n<defs><a/></defs>",
        "<defs><a/></defs>",
    ),
    "groups": ('<g id="axes_1"><path id="p"/>', '<g><path id="p"/>'),
    "ids": ('<path id="p" grid="q"/>', '<path id="n-p" grid="q"/>'),
    "links": ('<use xlink:href="#p"/><a href="#q"/>', '<use href="#n-p"/><a href="#n-q"/>'),
    "clips": ('clip-path="url(#p)"', 'clip-path="url(#n-p)"'),
    "namespaces": ('<svg xmlns="a" xmlns:xlink="b" version="1.1" x="1">', '<svg x="1">'),
    "width": ('<svg a="1" width="9pt"><rect width="3"/>', '<svg a="1"><rect width="3"/>'),
    "height": ('<svg a="1" height="9pt"><rect height="3"/>', '<svg a="1"><rect height="3"/>'),
    "fonts": ("font: 9px 'A', serif; x: y", "font-size: 9px; x: y"),
    "families": ("font-size: 9px; font-family: 'A', serif; x: y", "font-size: 9px; x: y"),
    "exponents": (
        "<text>10^−5</text>",
        '<text>10<tspan dy="-3" style="font-size: 6.5px">−5</tspan></text>',
    ),
    "digits": ('<path d="M 1.23456 7.8"/>1.23456', '<path d="M 1.23 7.8"/>1.23456'),
    "lines": ("<g>  \n   <a/>\n\n</g>", "<g>\n<a/>\n</g>"),
}


@pytest.mark.parametrize("rule", svg.RULES)
def test_each_rule_of_the_svg_does_its_own(rule):
    given, made = RULED[rule]
    assert given != made
    assert svg.apply(rule, given, "n") == made
