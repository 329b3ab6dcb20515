"""Text encoders: against scikit-learn's own, as files, and in a run's folder."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import naqsh
from naqsh.captions import char_cnn_rnn, sentences, tfidf
from naqsh.captions import encoder as encoders
from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, load
from naqsh.networks.char_cnn_rnn import CharCnnRnn, ImageSide, joint_loss

TEXTS = [
    ("a red circle above a blue square", "یک دایرهٔ قرمز"),
    ("a blue circle above a red square", "یک مربع آبی"),
    ("a green star on the left", "یک ستارهٔ سبز"),
    ("the star is green", "ستاره سبز است"),
]


def no_images():
    raise AssertionError("it learns from no images")


@pytest.fixture(scope="module")
def fitted():
    return encoders.fit("tfidf", 4, TEXTS, no_images)


def test_tfidf_is_scikit_learns(fitted):
    flat = [text for several in TEXTS for text in several]
    ngrams = TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"\w+", strip_accents="unicode")
    in_a_row = ngrams.build_analyzer()

    def terms(text):
        places = itertools.combinations(enumerate(re.findall(r"\w+", text)), 2)
        return in_a_row(text) + [f"{a}>{b}" for (i, a), (j, b) in places if j - i > 1]

    vectorizer = TfidfVectorizer(analyzer=terms)
    table = vectorizer.fit_transform(flat)
    svd = TruncatedSVD(4, n_iter=7, random_state=0)
    rows = svd.fit_transform(table)
    other = ["a red star above a circle", "nothing of it", flat[2]]
    found = svd.transform(vectorizer.transform(other))
    assert np.abs(fitted.projected(other) - found).max() < 1e-5
    expected = (found - rows.mean(0)) / rows.std(0)
    assert np.abs(fitted.encode(other) - expected).max() < 1e-4


def test_which_is_above_is_not_lost(fitted):
    one, other = fitted.encode(
        ["a red circle above a blue square", "a blue square above a red circle"]
    )
    assert np.abs(one - other).max() > 0.1


def test_terms_apart_reach_over_what_stands_between():
    assert set(tfidf.terms_of("a b c d")) == {
        *("a", "b", "c", "d", "a b", "b c", "c d", "a b c", "b c d"),
        *("a … c", "a … d", "b … d"),
    }
    far = " ".join(["a", *["x"] * (tfidf.REACH - 2), "b", "c"])
    assert "a … b" in tfidf.terms_of(far)
    assert "a … c" not in tfidf.terms_of(far)


def test_which_is_red_is_known_of_pairs_never_seen():
    """The colour of what is above, though no training caption has a red triangle or a blue star.

    Words in a row alone do not tell it: `small red` and `small blue` are in both orders.
    """
    colours, things = ("red", "blue", "green"), ("circle", "square", "triangle", "star")
    texts = [
        [f"a small {a} {one} above a small {b} {two}"]
        for a, b in itertools.permutations(colours, 2)
        for one, two in itertools.permutations(things, 2)
        if not {(a, one), (b, two)} & {("red", "triangle"), ("blue", "star")}
    ]
    encoder = encoders.fit("tfidf", 40, texts, no_images)
    seen = encoder.encode([text for (text,) in texts])
    first = np.array([colours.index(text.split()[2]) for (text,) in texts])
    linear = LogisticRegression(max_iter=1000).fit(seen, first)
    for upper, lower in itertools.permutations(("red triangle", "blue star"), 2):
        asked = encoder.encode([f"a small {upper} above a small {lower}"])
        assert colours[linear.predict(asked)[0]] == upper.split()[0]


def test_without_words_in_a_row_a_pair_never_seen_is_made_of_known_words():
    assert set(tfidf.terms_of("a b c d", longest=1)) == {
        *("a", "b", "c", "d"),
        *("a … c", "a … d", "b … d"),
    }
    colours, things = ("red", "blue", "green"), ("circle", "square", "star")
    texts = [
        [f"a small {colour} {thing} on a {ground} ground"]
        for colour, thing in itertools.product(colours, things)
        for ground in ("black", "white", "grey")
        if (colour, thing) != ("red", "star")
    ]
    off = {}
    for kind in ("tfidf-words", "tfidf"):
        encoder = encoders.fit(kind, 9, texts, no_images)
        never, same, other, thing = encoder.encode(
            [
                f"a small {pair} on a black ground"
                for pair in ("red star", "red circle", "blue circle", "blue star")
            ]
        )
        step = same + thing - other  # what a linear map of colour and thing would expect
        off[kind] = np.linalg.norm(never - step) / np.linalg.norm(never)
    # Not 0, for captions are brought to one length and rare words weigh more.
    assert off["tfidf-words"] < 0.1 < 1 < off["tfidf"]


def test_the_kind_without_words_in_a_row_is_kept(tmp_path):
    words = encoders.fit("tfidf-words", 4, TEXTS, no_images)
    assert not any(" " in term.replace(tfidf.APART, "") for term in words.state().plain["terms"])
    encoders.write(tmp_path / "words.safetensors", words)
    again = encoders.read(tmp_path / "words.safetensors")
    assert again.kind == "tfidf-words"
    asked = ["a red star above a circle"]
    assert np.array_equal(again.encode(asked), words.encode(asked))


def test_an_encoder_without_terms_apart_reads_as_before():
    """Of a run that was trained before there were any: its terms are words in a row."""
    terms, components = ["a", "a b", "b"], np.eye(3, dtype=np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    encoder = tfidf.TfIdf(terms, one, components, zero, one)
    assert encoder.encode(["a b", "a x b"]) == pytest.approx(
        np.array([[1, 1, 1], [1, 0, 1]]) / np.sqrt([[3], [2]]), abs=1e-6
    )


def test_a_caption_is_encoded_by_itself(fitted):
    parts = ["a red circle above", "a blue square"]  # together they are a training caption
    alone = np.concatenate([fitted.encode([part]) for part in parts])
    assert np.abs(fitted.encode(parts) - alone).max() < 1e-5
    assert fitted.encode([]).shape == (0, 4)


def test_embeddings_of_the_training_captions_are_standardised(fitted):
    found = fitted.encode([text for several in TEXTS for text in several])
    assert np.abs(found.mean(0)).max() < 1e-5
    assert np.abs(found.std(0) - 1).max() < 1e-4


def test_a_file_gives_back_an_equal_encoder(fitted, tmp_path):
    encoders.write(tmp_path / "text.safetensors", fitted)
    again = encoders.read(tmp_path / "text.safetensors")
    said = ["a red star", "", "xyz"]
    assert np.array_equal(again.encode(said), fitted.encode(said))
    assert encoders.digest(again) == encoders.digest(fitted)


@pytest.mark.parametrize(
    "damage",
    ["cut", "other terms", "nan", "no kind", "unknown kind", "no header", "shape"],
)
def test_a_damaged_file_is_one_line(fitted, tmp_path, damage):
    path = tmp_path / "text.safetensors"
    encoders.write(path, fitted)
    state = fitted.state()
    arrays, plain = dict(state.arrays), {"kind": "tfidf", **state.plain}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        if damage == "other terms":
            plain["terms"] = plain["terms"][1:]
        elif damage == "nan":
            arrays["idf"] = arrays["idf"] * np.float32("nan")
        elif damage == "shape":
            arrays["mean"] = arrays["mean"][:2]
        elif damage == "unknown kind":
            plain["kind"] = "os"
        kind = plain.pop("kind")
        sealed = encoders._digest(encoders.State(arrays, plain), kind)
        whole = plain if damage == "no kind" else {"kind": kind, **plain}
        header = {} if damage == "no header" else {"encoder": json.dumps(whole), "sha256": sealed}
        save_file(arrays, path, metadata=header)
    with pytest.raises(NaqshError) as caught:
        encoders.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_joint_loss_is_its_sum():
    rng = np.random.default_rng(0)
    images, captions = rng.normal(size=(2, 5, 3))
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                total += max(0, 1 + images[i] @ captions[j] - images[i] @ captions[i])
                total += max(0, 1 + images[j] @ captions[i] - images[i] @ captions[i])
    found = joint_loss(torch.from_numpy(images), torch.from_numpy(captions))
    assert float(found) == pytest.approx(total / 25, abs=1e-9)


def test_the_published_network_has_18_places_and_its_channels():
    network = CharCnnRnn(70, 1024)
    places = network.trunk(torch.zeros(1, 70, 201))
    assert places.shape == (1, 512, 18)
    weights = 70 * 384 * 4 + 384 * 512 * 4 + 512 * 512 * 4 + 6 * 512 * 512 + 512 * 1024
    biases = 384 + 512 + 512 + 6 * 512 + 1024
    assert sum(p.numel() for p in network.parameters()) == weights + biases


def test_signals_do_not_fade_before_anything_is_learnt():
    """One letter a place: the first layer's variance is 2, and no later one's is much smaller.

    With PyTorch's own weights deviations are 0.08, 0.06 and 0.04 here, those of biases 0.03.
    """
    torch.manual_seed(0)
    network = CharCnnRnn(70, 64, 0.25)
    letters = torch.nn.functional.one_hot(torch.randint(0, 70, (40, 201)), 70).transpose(1, 2)
    places, deviations = letters.float(), []
    with torch.no_grad():
        for layer in network.trunk:
            places = layer(places)
            if isinstance(layer, torch.nn.Conv1d):
                deviations.append(float(places.std()))
    # 96 channels of 280 weights each: the variance is known to 2 / sqrt(96 * 280 / 2) or 2 %.
    assert deviations[0] == pytest.approx(2**0.5, rel=0.05)
    assert min(deviations) > 1
    image = ImageSide(8)
    seen = image.convolutions[0](torch.randn(20, 3, 32, 32))
    assert float(seen.detach().std()) == pytest.approx(2**0.5, rel=0.2)


@pytest.fixture(scope="module")
def characters():
    """Trained on 30 scenes of one object: a minute's training made short."""
    entry = load("shapes", split="test")
    alone = [k for k, said in enumerate(entry.texts) if len(said[0].split()) < 14][:30]
    some = entry.subset(alone)
    made = char_cnn_rnn.fit(16, some.texts, lambda: some.images, steps=60, width=0.05)
    return made, some


def test_char_cnn_rnn_knows_captions_of_one_image_from_others(characters):
    made, some = characters
    codes = np.stack([made.encode([said[k] for said in some.texts]) for k in range(2)])
    codes /= np.linalg.norm(codes, axis=2, keepdims=True)
    alike = codes[0] @ codes[1].T
    off = ~np.eye(len(some), dtype=bool)
    assert alike.diagonal().mean() > alike[off].mean() + 0.2
    flat = made.encode([text for several in some.texts for text in several])
    assert np.abs(flat.mean(0)).max() < 0.3
    assert made.unknown("a small red circle or a hexagon") == ("or", "hexagon")


def test_char_cnn_rnn_is_kept_in_a_file(characters, tmp_path):
    made, _ = characters
    path = tmp_path / "text.safetensors"
    encoders.write(path, made)
    said = ["a small red circle", "یک ستاره", "x" * 500, "%"]
    assert np.array_equal(encoders.read(path).encode(said), made.encode(said))
    state = made.state()
    for arrays, plain in [
        ({**state.arrays, "network.out.bias": np.zeros(3, np.float32)}, state.plain),
        ({**state.arrays, "network.more": np.zeros(3, np.float32)}, state.plain),
        (state.arrays, {**state.plain, "width": 1e9}),
        (state.arrays, {**state.plain, "letters": 7}),
    ]:
        sealed = encoders._digest(encoders.State(arrays, plain), "char-cnn-rnn")
        header = {"encoder": json.dumps({"kind": "char-cnn-rnn", **plain}), "sha256": sealed}
        save_file(dict(arrays), path, metadata=header)
        with pytest.raises(NaqshError, match="is damaged"):
            encoders.read(path)


def test_unknown_words_are_said(fitted):
    embeddings, said = encoders.typed(fitted, ["a red hexagon", "A  RED circle."])
    assert embeddings.shape == (2, 4)
    assert said == ["'a red hexagon': 'hexagon' is in no training caption and says nothing"]


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("?!", "empty"),
        ("x" * 10_000, "at most 1,000 characters"),
        ("a red\x1b[2J circle", "control characters"),
        ("a red \udce9 circle", "UTF-8"),
        (7, "a sentence"),
    ],
)
def test_what_is_no_caption_is_refused_in_one_line(fitted, caption, told):
    with pytest.raises(NaqshError, match=told) as caught:
        encoders.typed(fitted, [caption])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_keyboards_and_marks_make_no_difference():
    assert sentences.words("دایرهٔ كوچك") == sentences.words("دایره کوچک")
    assert sentences.words("Café-bar") == ["cafe", "bar"]


def test_too_few_captions_say_how_many_numbers_they_allow():
    with pytest.raises(NaqshError, match="must be below 3"):
        encoders.fit("tfidf", 3, [("a b", "c d"), ("e f",)], no_images)
    with pytest.raises(NaqshError, match=r"did you mean 'tfidf'\?"):
        encoders.fit("tfid", 3, TEXTS, no_images)


def test_a_set_gets_embeddings_that_its_fingerprint_does_not_cover(fitted):
    plain = load("shapes", split="test", size=8)
    found = load("shapes", split="test", size=8, text="tfidf", text_size=4, encoder=fitted)
    assert found.captions.shape == (2000, 4, 4)
    assert found.fingerprint == plain.fingerprint
    assert np.array_equal(found.captions[5, 2], fitted.encode([found.texts[5][2]])[0])
    some = found.subset([5, 9])
    assert np.array_equal(some.captions, found.captions[[5, 9]])
    assert some.fingerprint == plain.subset([5, 9]).fingerprint
    assert some.encoder is fitted
    assert found.layout.caption == 4
    assert tfidf.LONGEST == 3


def test_a_run_keeps_its_encoder(tmp_path, monkeypatch):
    entry = dataclasses.replace(CATALOG["shapes"], train=60, test=12)
    monkeypatch.setitem(CATALOG, "shapes", entry)
    few = {"data.name": "shapes", "data.size": 16, "data.text": "tfidf", "data.text_size": 8}
    few |= {"training.steps": 1, "training.batch": 4}
    run = naqsh.train("gan-digits", out=tmp_path / "run", overrides=few, device="cpu", quiet=True)
    found = run.encoder.encode(["a small red circle"])
    assert found.shape == (1, run.layout.caption) == (1, 8)
    test = run.images("test").images
    assert np.array_equal(test.captions[3, 1], run.encoder.encode([test.texts[3][1]])[0])
    run.export(tmp_path / "run.zip")
    assert np.array_equal(
        naqsh.open(tmp_path / "run.zip").encoder.encode(["a star"]), run.encoder.encode(["a star"])
    )
    run.export(tmp_path / "run.safetensors")
    with pytest.raises(NaqshError, match=r"has no text\.safetensors"):
        _ = naqsh.open(tmp_path / "run.safetensors").encoder
    other = encoders.fit("tfidf", 8, load("shapes", size=8).texts[:40], no_images)
    encoders.write(run.folder.text, other)
    with pytest.raises(NaqshError, match="of another run"):
        _ = run.encoder
    with pytest.raises(NaqshError, match="of another run"):
        run.images("test")


def test_a_set_without_captions_has_none_to_embed():
    with pytest.raises(NaqshError, match="digits has none"):
        load("digits", text="tfidf")
