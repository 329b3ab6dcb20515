"""What a detection found, as lines on a terminal."""

from collections import Counter
from typing import TYPE_CHECKING

from naqsh.data.defects import GOOD
from naqsh.io.texts import texts
from naqsh.studies.detection import choice

if TYPE_CHECKING:
    from naqsh.studies.detection.result import Detection

CURES = {
    "seen": "train with --training.validation 0.1 to hold some out",
    "unlabelled": "put good ones into a sub-folder named good beside the others",
}
"""What a command can do about what is noted, by the note's name."""


def table(found: "Detection") -> str:
    """The figures as lines to read."""
    examined, normal = found.suspects, found.normal
    kinds = Counter(examined.kinds or ())
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    out = [
        f"{examined.name}: {len(examined)} images" + (f" ({named})" if named else ""),
        f"normal: {normal['name']}, {normal['fitted']} for the baselines, {normal['held_out']} "
        f"for the thresholds, false alarms {found.false_alarms:.3g}",
    ]
    out += _measured_lines(found) if examined.anomalous is not None else _plain_lines(found)
    out += _choice_lines(found) + _weak_lines(found)
    if found.likelihood:
        out += _likelihood_lines(found)
    out += [f"note: {_note(found, name)}" for name in found.notes]
    return "\n".join([*out, *([f"written to {found.folder}"] if found.folder else [])])


def _note(found: "Detection", name: str) -> str:
    """What a reader must know, in the words of a report, and what can be done about it."""
    of = found.figures.get("reconstruction")
    error = "" if of is None else f"{float(of.scores.values.max()):.3g}"
    said = texts()[f"detection.notes.{name}"].format(error=error)
    return f"{said} To change that, {CURES[name]}." if name in CURES else said


def _measured_lines(found: "Detection") -> list[str]:
    kinds = found.suspects.kinds or ()
    good = sum(kind == GOOD for kind in kinds)
    width = max(len(name) for name in found.figures) + 2
    out = [
        f"{'':<{width}}{'AUROC (95 %)':<22}{'AP':<8}{'best F1':<9}"
        f"{'flagged good':<14}{'flagged bad':<13}pixels"
    ]
    for name, figures in found.figures.items():
        plain = figures.measured
        low, high = plain["auroc_interval"]
        flagged = figures.flagged
        false = int(sum(f and k == GOOD for f, k in zip(flagged, kinds, strict=True)))
        rates = f"{false}/{good}", f"{int(flagged.sum()) - false}/{len(kinds) - good}"
        pixels = plain["pixel_auroc"]
        out.append(
            f"{name:<{width}}{plain['auroc']:.3f} ({low:.3f}-{high:.3f})".ljust(width + 22)
            + f"{plain['average_precision']:<8.3f}{plain['f1']['f1']:<9.3f}"
            + f"{rates[0]:<14}{rates[1]:<13}{'' if pixels is None else f'{pixels:.3f}'}".rstrip()
        )
    by_kind = found.deciding.measured["kinds"]
    out.append(f"by kind, {found.deciding.name}:")
    for kind, plain in by_kind.items():
        low, high = plain["interval"]
        out.append(f"  {kind:<20} {plain['auroc']:.3f} ({low:.3f}-{high:.3f}), {plain['count']}")
    return out


def _plain_lines(found: "Detection") -> list[str]:
    return [
        f"{name}: {int(figures.flagged.sum())} of {len(found.suspects)} flagged, above "
        f"{figures.threshold:.6g}"
        for name, figures in found.figures.items()
    ]


def _weak_lines(found: "Detection") -> list[str]:
    """Whether the score that decides is worth more than principal components, if that is known."""
    decides = found.deciding
    less = decides.measured.get("less_pca")
    if not less:
        return []
    low, high = less["interval"]
    between = f"AUROC less theirs {less['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
    if high < 0:
        return [
            f"warning: {decides.name} is worse than principal components, which need no training: "
            f"{between}; take --score pca"
        ]
    if low > 0:
        return [f"{decides.name} is better than principal components: {between}"]
    return [
        f"warning: {decides.name} cannot be told from principal components, which need no "
        f"training: {between}"
    ]


UNSOUND = {
    "seen": "those that thresholds come from were trained on",
    "few": f"fewer than {choice.LEAST_IMAGES} are held out",
    "small": f"they are smaller than {choice.LEAST_SIDE} pixels",
}
"""Why normal images could choose no score, by the name under which it is kept."""


def _choice_lines(found: "Detection") -> list[str]:
    picked = found.choice
    if picked is None:
        return []
    first, second = picked.names
    both = f"both {first} and {second} flag, each at half the rate of false alarms"
    if picked.aurocs is None or picked.interval is None:
        return [f"normal images cannot choose a score ({UNSOUND[picked.unsound]}): {both}"]
    low, high = picked.interval
    seen = (
        f"patches pasted into {picked.images} held-out normal images are noticed with AUROC "
        f"{picked.aurocs[0]:.3f} by {first}, {picked.aurocs[1]:.3f} by {second} "
        f"(difference {picked.difference:+.3f}, {low:+.3f} to {high:+.3f})"
    )
    return [f"{seen}: {picked.better + ' decides' if picked.better else both}"]


def _likelihood_lines(found: "Detection") -> list[str]:
    caution = found.likelihood or {}
    grey = caution["constants"]["grey"]["likelier_than"]
    out = [
        f"a grey image of nothing is likelier than {grey:.0%} of {caution['normal']} normal ones"
    ]
    if caution["complexity_correlation"] is not None:
        out.append(
            f"rank correlation of the negative log-likelihood with the size as a PNG "
            f"{caution['complexity_correlation']:.2f}, with brightness "
            f"{caution['brightness_correlation']:.2f}"
        )
    return out


def lines(found: "Detection") -> list[str]:
    """One line a flagged image, most anomalous first, for scripts: its path and score.

    Where two scores flag, both stand there.
    """
    deciders = [found.deciding, *([found.beside] if found.beside else [])]
    return [
        "\t".join([found.suspects.paths[i], *(f"{d.scores.values[i]:.6g}" for d in deciders)])
        for i in found.order()
        if found.flagged[i]
    ]
