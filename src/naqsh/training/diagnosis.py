"""What looks wrong while a run goes on, in plain words.

A watcher reads one logged number, by the name under which methods log it, and speaks once when it
has been out of bounds for several intervals on end, and once more when it is back.

================== =========================================================================
``*.accuracy``     how often a discriminator is right, from 0 to 1
``*.diversity``    variance of generated images over that of real ones
``*.kl``           nats that the latents of an image carry
``*.saturated``    how often a controller stands at a bound that it pushes against, from 0 to 1
``*.gap``          how far the loss on held-out images is above its least, as a part of that
``*.critic_a``     loss of the discriminator of a domain by least squares, 0.25 where it cannot tell
``*.to_a``         a generator's loss on passing for real: 1 where every patch is seen through
``*.frechet_rise`` how far the samples' distance is above its least, as a part of that
================== =========================================================================
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from naqsh.io.texts import texts

PATIENCE = 5
"""Logged intervals on end before a watcher speaks, unless its rule says otherwise."""

TOTAL = "validation.total"
"""The number that the loss on held-out images is logged under."""

DISTANCE = "samples.frechet"
"""The number that the Frechet distance of samples to real images is logged under."""


@dataclass(frozen=True)
class Said:
    """What a watcher said: the sentence, and what it is made of, so that others can translate it.

    Attributes:
        words: the sentence.
        rule: the rule's name, or ``back`` when a number is back within bounds.
        metric: the full name of the number.
        value: what it was.
        before: where something has changed, what it was, as a text.
        after: and what it is.
    """

    words: str
    rule: str
    metric: str
    value: float
    before: str = ""
    after: str = ""


def say(rule: str, metric: str, value: float, before: str = "", after: str = "") -> Said:
    """What a rule says in English, in the words of a report; see :class:`Said`."""
    sentence = texts()[f"diagnosis.rules.{rule}"]
    filled = {"metric": metric, "value": f"{value:.3g}", "percent": f"{value:.1%}"}
    words = sentence.format(**filled, before=before, after=after)
    return Said(words, rule, metric, value, before, after)


@dataclass
class Watcher:
    """One rule over one logged number.

    Attributes:
        rule: its name, by which its sentence is found in each language.
        metrics: the ends of the numbers' names, after the phase.
        wrong: whether a value is out of bounds.
        patience: logged intervals on end before it speaks.
        unless: the end of a name; where such a number is logged too, another rule is the better.
    """

    rule: str
    metrics: tuple[str, ...]
    wrong: Callable[[float], bool]
    patience: int = PATIENCE
    unless: str = ""
    _count: dict[str, int] = field(default_factory=dict)

    def read(self, name: str, value: float) -> Said | None:
        """What to say after this value of the number `name`, if anything."""
        if name.rpartition(".")[2] not in self.metrics:
            return None
        before = self._count.get(name, 0)
        self._count[name] = before + 1 if self.wrong(value) else 0
        if self._count[name] == self.patience:
            return say(self.rule, name, value)
        if before >= self.patience and not self._count[name]:
            return say("back", name, value)
        return None


def watchers() -> list[Watcher]:
    """Every rule, fresh."""
    return [
        Watcher(
            "saturated_discriminator", ("accuracy",), lambda value: value > 0.99, unless="critic_a"
        ),
        Watcher(
            "undecided_discriminator", ("accuracy",), lambda value: value < 0.52, unless="critic_a"
        ),
        Watcher("mode_collapse", ("diversity",), lambda value: value < 0.2),
        # These are so for a while at the start of a healthy run, so they wait longer.
        Watcher("posterior_collapse", ("kl",), lambda value: value < 0.1, patience=20),
        Watcher("locked_controller", ("saturated",), lambda value: value > 0.99, patience=20),
        Watcher("critic_leads", ("critic_a", "critic_b"), lambda value: value < 0.02, patience=20),
        Watcher("generator_leads", ("to_a", "to_b"), lambda value: value < 0.05, patience=20),
        Watcher("overfitting", ("gap",), lambda value: value > 0.01),
        # Measured a few times in a run, so each counts; a GAN goes up and down by less.
        Watcher("samples_worse", ("frechet_rise",), lambda value: value > 0.5, patience=1),
    ]


class Diagnosis:
    """All watchers of a run."""

    def __init__(self) -> None:
        self._watchers = watchers()
        self._least = self._nearest = math.inf

    def read(self, values: dict[str, float]) -> list[Said]:
        """What the watchers say after one logged interval."""
        ends = {name.rpartition(".")[2] for name in values}
        said = [
            watcher.read(name, value)
            for name, value in values.items()
            for watcher in self._watchers
            if watcher.unless not in ends
        ]
        return [sentence for sentence in said if sentence]

    def held_out(self, values: dict[str, float]) -> list[Said]:
        """What the watchers say after numbers of held-out images, or any others."""
        if DISTANCE in values:
            return self.measured(values[DISTANCE])
        return self.validated(values[TOTAL]) if TOTAL in values else self.read(values)

    def measured(self, distance: float) -> list[Said]:
        """What the watchers say after a distance of samples to real images."""
        self._nearest = min(self._nearest, distance)
        rise = distance / max(self._nearest, 1e-9) - 1
        return self.read({"samples.frechet_rise": rise})

    def validated(self, total: float) -> list[Said]:
        """What the watchers say after a loss on held-out images."""
        self._least = min(self._least, total)
        gap = (total - self._least) / max(abs(self._least), 1e-3)
        return self.read({"validation.gap": gap})

    def replay(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Hear again the records of a run that goes on, and say nothing: it was said then."""
        for record in records:
            losses = record.get("losses", {})
            self.held_out(losses)
