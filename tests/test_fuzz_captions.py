"""Mutants of text encoders' files and of captions beside images, damaged as in `fuzzing`."""

import random
import shutil

import numpy as np
import pytest
from PIL import Image

import fuzzing
from naqsh.captions import char_cnn_rnn
from naqsh.captions import encoder as encoders
from naqsh.core.errors import NaqshError
from naqsh.data import load

SAID = ["a red bird sings", "a blue bird", "two birds fly"]
ROUNDS = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two encoders, and a folder of images with captions in three layouts."""
    top = tmp_path_factory.mktemp("whole")
    texts = [(said,) for said in SAID]
    images = np.zeros((3, 3, 32, 32), np.uint8)
    encoders.write(top / "tfidf.safetensors", encoders.fit("tfidf", 2, texts, lambda: images))
    network = char_cnn_rnn.fit(2, texts, lambda: images, steps=1, width=0.01)
    encoders.write(top / "characters.safetensors", network)
    rows = [(f"{k}.png", said) for k, said in enumerate(SAID)]
    lines = [f'{{"file_name": "{name}", "text": "{said}"}}' for name, said in rows]
    (top / "captions.jsonl").write_text("\n".join(lines) + "\n")
    pairs = ", ".join(f'"{name}": ["{said}"]' for name, said in rows)
    (top / "captions.json").write_text(f"{{{pairs}}}")
    (top / "captions.csv").write_text("file_name,caption\n" + "\n".join(map(",".join, rows)))
    return top


FILES = ["tfidf.safetensors", "characters.safetensors"]
FILES += ["captions.jsonl", "captions.json", "captions.csv"]


@pytest.mark.parametrize("file", FILES)
def test_a_mutant_is_read_or_told_in_one_line(whole, file, tmp_path):
    told = []
    for number, name in enumerate(sorted(fuzzing.MUTATORS) * ROUNDS):
        place = tmp_path / "copy" / str(number)
        place.mkdir(parents=True)
        for k in range(3):
            Image.fromarray(np.full((8, 8), 90 * k, np.uint8)).save(place / f"{k}.png")
        mutant = place / file
        shutil.copy(whole / file, mutant)
        if fuzzing.MUTATORS[name](mutant, random.Random(number)) is not False:
            told += [(name, number, said) for said in answer(mutant)]
        shutil.rmtree(place)
    assert len(told) > 5 * ROUNDS
    for name, number, said in told:
        assert not {"\n", "\x1b"} & set(said), (name, number)
        assert len(said) < 1000, (name, number)


def answer(mutant):
    """What is said of a mutant, if it is refused; nothing but a NaqshError may be raised."""
    try:
        if mutant.suffix == ".safetensors":
            found = encoders.read(mutant).encode(["a red bird", "", "x" * 300])
            assert found.shape == (3, 2)
        else:
            load(mutant.parent, text="tfidf", text_size=1, size=8)
    except NaqshError as error:
        return [str(error)]
    return []
