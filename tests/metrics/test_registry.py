"""A measure is its function with its decorator; everything else follows."""

from collections.abc import Iterator

import numpy as np
import pytest

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.metrics import Influence, Measure, Tables, Value, declare, registry

WHERE = {"features": "pixels", "fingerprint": "f" * 16, "reference": "digits test"}


@pytest.fixture
def toy() -> Iterator[str]:
    """The share of generated images whose first feature is above the mean of the real ones'."""

    @declare("above", better="higher", share_of="n_generated", least=3, also=("over",))
    def above(tables: Tables) -> Value:
        each = (tables.generated[:, 0] > tables.real[:, 0].mean()).double().numpy()
        still = np.zeros(len(tables.real))
        return Value(float(each.mean()), Influence(still, each - each.mean()))

    yield "above"
    registry.DECLARED.pop("above")
    registry.METRICS.remove("above")


@pytest.fixture
def tables() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 4)), rng.normal(0.3, 1.1, size=(20, 4))


@pytest.mark.parametrize("word", ["above", "Over"])
def test_a_measure_is_asked_for_by_its_words(toy, tables, word):
    (found,) = metrics.measure(word, *tables, **WHERE)
    share = (tables[1][:, 0] > tables[0][:, 0].mean()).mean()
    assert (found.name, found.value) == (toy, share)
    low, high = found.interval
    assert 0 <= low < share < high <= 1


def test_it_comes_after_the_others_where_all_are_asked_for(toy, tables):
    names = [measure.name for measure in metrics.measure("all", *tables, **WHERE)]
    assert names[-1] == toy
    assert len(names) == sum(known.needs == "features" for known in registry.DECLARED.values())


def test_its_least_images_and_its_way_are_known(toy, tables):
    with pytest.raises(NaqshError, match="above needs at least 3 images"):
        metrics.measure(toy, tables[0], tables[1][:2], **WHERE)
    (found,) = metrics.measure(toy, *tables, **WHERE)
    other = Measure.from_dict(found.to_dict() | {"value": found.value - 0.1})
    assert found.better_than(other)
    assert not other.better_than(found)


def test_without_its_package_it_is_kept_and_told(toy, tables):
    (found,) = metrics.measure(toy, *tables, **WHERE)
    declared = registry.DECLARED.pop(toy)
    try:
        kept = Measure.from_dict(found.to_dict())
        assert kept == found
        assert str(kept).startswith("above 0.")
        with pytest.raises(NaqshError, match="no measure known here"):
            found.better_than(kept)
    finally:
        registry.DECLARED[toy] = declared


def test_a_name_is_declared_once(toy):
    with pytest.raises(ValueError, match="above is declared twice"):
        declare(toy, better="lower")(lambda tables: None)


def test_each_of_ours_has_its_texts():
    from naqsh.io.texts import texts

    for declared in registry.DECLARED.values():
        names = [declared.name, *([declared.published[0]] if declared.published else [])]
        for name in names:
            assert f"metrics.{name}" in texts()
            if declared.ranked:
                assert f"tables.everything.rows.{name}" in texts()
        if declared.caution:
            assert f"cautions.kinds.{declared.caution}" in texts()
