"""Hidden messages of translations are noticed after a stage."""

import json

import numpy as np
import pytest
import torch

import naqsh
from naqsh.data import DataSet
from naqsh.methods import cyclegan
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.training import message


class Hiding(torch.nn.Module):
    """The translation is grey; the image is in it, a part of its height."""

    value_range = (0.0, 1.0)
    multiple = least = 1
    directions = ("B", "A")

    def __init__(self, height):
        super().__init__()
        self.height = height

    def translate(self, images, to):
        if to == "B":
            return 0.5 + (images - 0.5) * self.height
        return ((images - 0.5) / self.height + 0.5).clamp(0, 1)


@pytest.fixture
def any_module(monkeypatch):
    monkeypatch.setattr("naqsh.runs.translating.Method", torch.nn.Module)


def two_domains(count=20):
    pixels = np.random.default_rng(0).integers(60, 196, (2, count, 1, 8, 8), np.uint8)
    return DataSet.of("noise", pixels[0], second=pixels[1])


@pytest.mark.parametrize(("height", "directions"), [(0.01, ["message.to_b"]), (0.5, []), (1.0, [])])
@pytest.mark.usefixtures("any_module")
def test_only_a_hidden_message_is_said(height, directions):
    found = message.look(Hiding(height), two_domains(), 0, torch.device("cpu"))
    assert list(found) == ["B", "A"]
    said = message.read({"message": found})
    assert [s.metric for s in said] == directions
    for s in said:
        assert s.rule == "hidden_message"
        assert s.value == pytest.approx(
            (found["B"]["after"] - found["B"]["before"]) / (0.02 * (2 / np.pi) ** 0.5)
        )
        assert s.value > 5
        assert "hides" in s.words
    assert json.loads(json.dumps(found)) == found


@pytest.mark.usefixtures("any_module")
def test_nothing_is_looked_at_without_a_way_back_or_another_domain():
    one_way = Hiding(0.01)
    one_way.directions = ("B",)
    assert message.look(one_way, two_domains(), 0, torch.device("cpu")) == {}
    alone = DataSet.of("noise", two_domains().images)
    assert message.look(Hiding(0.01), alone, 0, torch.device("cpu")) == {}
    assert message.read({}) == []


def test_every_stage_of_a_training_is_looked_at(alone):
    spec = cyclegan.Spec(width=4, critic_width=4, blocks=1)
    training = Training(steps=3, batch=2)
    recipe = Recipe("tiny", Data("digits", second="inverted"), spec, training)
    run = naqsh.train(recipe, out="run", device="cpu", quiet=True)
    lines = [json.loads(line) for line in run.folder.stages.read_text().splitlines()]
    assert [list(line["message"]) for line in lines] == [["B", "A"]] * 3
    assert all(0 < line["message"]["A"]["before"] < 1 for line in lines)
