"""Everything that would stop a comparison at its end, found out before its first step."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from naqsh import data, metrics
from naqsh.core.abilities import Samples, Translates
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.spec import Shape
from naqsh.core.world import join
from naqsh.metrics import FeatureExtractor
from naqsh.metrics.registry import called
from naqsh.runs import kept, records, translating
from naqsh.runs.origin import load as load_data
from naqsh.runs.records import Plan
from naqsh.runs.records.comparison import LEAST
from naqsh.runs.trained import open_trained
from naqsh.studies import ready, translation
from naqsh.studies.comparison.plan import Member, N
from naqsh.studies.evaluation import usual
from naqsh.studies.floor import floor
from naqsh.training import parents
from naqsh.training.building import check

Say = Callable[[str], None]


def settle(
    plan: Plan, found: Sequence[Member], device: str, home: Path | None, say: Say
) -> tuple[Plan, list[Member], records.Floor | None]:
    """The plan and its members with all that was left open, once each is known to be possible.

    Returns:
        the plan; its members; and the floor, see :func:`_floor`.

    Raises:
        NaqshError: images, a test split, features, or the memory for a recipe are not there, a
            recipe makes no images, or not all would be measured against the same ones.
    """
    possible = [_possible(member, plan, device, home) for member in found]
    members = [member for member, _ in possible]
    translate = {translating.alone(method) for _, method in possible}
    if len(translate) > 1:
        raise NaqshError(
            "what translates images and what makes them from noise are measured otherwise: compare "
            "either"
        )
    real = _reference(members, plan, home)
    if len(real) < LEAST:
        raise NaqshError(
            f"{real.name} {plan.reference} has {len(real)} images; measuring needs {LEAST}"
        )
    with join(device) as world:  # "auto" is no device yet
        place = str(world.device)
    data_name = members[0].recipe.data.name
    if True in translate:  # whose study takes its own floor, of each domain
        by, remark = translation.features_of(plan.features, data_name, place, _shapes(real))
        if remark:
            say(remark)
        return replace(plan, n=plan.n or N, features=by.name, data=data_name), members, None
    features = ready.features(plan.features, real, place, say)
    own = usual(features) if real.extent or metrics.modes_known(features) else N
    n = plan.n or _agreed(members, features, real) or own
    settled = replace(plan, n=n, features=features.name, data=data_name)
    return settled, members, _floor(settled, members[0], features, real, home)


def _shapes(real: "data.DataSet") -> list[Shape]:
    """Of the images of both domains."""
    return [real.shape, *([] if real.layout.second is None else [real.layout.second])]


def _possible(member: Member, plan: Plan, device: str, home: Path | None) -> tuple[Member, Method]:
    """A member that can be trained and makes images, and its method; its test split is there."""
    if member.run:
        method = open_trained(member.run).method
    else:
        if plan.reference == "test":
            member = replace(member, recipe=ready.with_test_split(member.recipe, home))
        member = replace(member, recipe=parents.completed(member.recipe, None))
        method = check(member.recipe, device=device, data_home=home)
    if not isinstance(method, Samples | Translates):
        raise NaqshError(f"{member.recipe.name} makes no images: there is nothing to compare")
    return member, method


def _reference(members: Sequence[Member], plan: Plan, home: Path | None) -> "data.DataSet":
    """The real images, if they are the same for all."""
    first, real = members[0], _real(members[0], plan, home)
    for other in members[1:]:
        if _real(other, plan, home).fingerprint != real.fingerprint:
            raise NaqshError(
                f"{first.entry.folder} and {other.entry.folder} would be measured against "
                "different images: a comparison is of one data set, at one size, with the same "
                f"{plan.reference} images"
            )
    return real


def _real(member: Member, plan: Plan, home: Path | None) -> "data.DataSet":
    if member.run:
        return open_trained(member.run).images(plan.reference, None, home).images
    return load_data(member.recipe, plan.reference, home)


def _agreed(
    members: Sequence[Member], features: FeatureExtractor, real: "data.DataSet"
) -> int | None:
    """How many images most of the taken runs were measured with, in the way asked for."""
    counts = Counter[int]()
    for member in members:
        if member.run:
            there = kept.evaluations(open_trained(member.run).folder).find(
                metric=called("energy" if real.extent else "kernel", features.name),
                fingerprint=features.fingerprint,
                reference_fingerprint=real.fingerprint,
                sampling={},
            )
            counts.update({int(result.of["n"]) for result in there})
    # Of equally many, the larger.
    return max(counts, key=lambda n: (counts[n], n), default=None)


def _floor(
    plan: Plan,
    member: Member,
    features: FeatureExtractor,
    real: "data.DataSet",
    home: Path | None,
) -> records.Floor | None:
    """What real images of the other split come to when they are measured like generated ones.

    No generator that knows the training images alone can be expected below this. It is taken before
    anything is trained, so that it also shows that everything can be measured.

    Returns:
        it, of fewer images than the plan's n where the split has no more; None where the set has
        no other split.
    """
    other: data.Split = "train" if plan.reference == "test" else "test"
    try:
        images = load_data(member.recipe, other, home)
    except NaqshError:
        return None
    assert plan.n is not None
    reference = f"{real.name} {plan.reference}"
    if len(images) < LEAST:
        return None
    found = floor(["all"], features, real, images, split=other, n=plan.n, reference=reference)
    return records.read(records.Floor, found.to_dict())
