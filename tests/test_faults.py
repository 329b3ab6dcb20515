"""What a user can get wrong: one line that says what, why and what would work; exit code 2."""

import errno
import gzip
import io
import json
import os
import pickle
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from naqsh import cli
from naqsh.data import CATALOG
from naqsh.io import download
from naqsh.runs import folder as runfolder
from naqsh.runs.folder import RunFolder

TRAIN = ["train", "gan-digits", "--device", "cpu", "--quiet", "--out", "run", "--steps", "4"]
TINY = [*TRAIN, "--training.batch", "16"]


class Trap:
    """Makes a folder named evil if anything unpickles it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place / "evil"),)


@dataclass
class World:
    """Where a case takes place: the working folder, a finished run to copy, a way to patch."""

    here: Path
    finished: Path
    patch: pytest.MonkeyPatch

    def run(self) -> RunFolder:
        """A copy of the finished run in ./run; its large files are links, to be replaced only."""

        def copy(source: str, target: str) -> None:
            large = source.endswith((".pt", ".safetensors"))
            (os.link if large else shutil.copyfile)(source, target)

        shutil.copytree(self.finished, self.here / "run", copy_function=copy)
        return RunFolder(self.here / "run")

    def write(self, path: Path | str, content: bytes | str) -> Path:
        """Write a file, never through a link."""
        path = self.here / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def weights(self) -> Path:
        """The newest weights of the copied run."""
        run = self.run()
        return run.checkpoint(run.steps()[-1]) / "weights.safetensors"

    def pictures(self, *sizes: tuple[int, int]) -> Path:
        """A folder with an image of each size."""
        for number, (width, height) in enumerate(sizes):
            pixels = np.random.default_rng(number).integers(0, 256, (height, width), np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            self.write(f"photos/{number}.png", out.getvalue())
        return self.here / "photos"


# --- worlds in which something is wrong -----------------------------------------------------------


def on(name: str, content: bytes | str):
    """A finished run with one file replaced, which is then sampled."""

    def prepare(world: World) -> list[str]:
        world.run()
        world.write(f"run/{name}", content)
        return ["sample", "run"]

    return prepare


def run_in_runs(*words: str):
    """A finished run at runs/gan."""

    def prepare(world: World) -> list[str]:
        world.run().path.rename(world.here / "gan")
        (world.here / "runs").mkdir()
        (world.here / "gan").rename(world.here / "runs" / "gan")
        return list(words)

    return prepare


def in_two_shapes(*words: str):
    """Grey images in ./grey, coloured ones in ./photos."""

    def prepare(world: World) -> list[str]:
        for number in range(3):
            for name, mode in (("grey", "L"), ("photos", "RGB")):
                (world.here / name).mkdir(exist_ok=True)
                Image.new(mode, (16, 16), number).save(world.here / name / f"{number}.png")
        return list(words)

    return prepare


def key_of_tomorrow(*words: str):
    def prepare(world: World) -> list[str]:
        world.run()
        text = (world.here / "run" / "recipe.yaml").read_text() + "colour: blue\n"
        world.write("run/recipe.yaml", text)
        return list(words)

    return prepare


def no_checkpoint(world: World) -> list[str]:
    shutil.rmtree(world.run().checkpoints)
    return ["sample", "run"]


def half_a_checkpoint(world: World) -> list[str]:
    world.weights().unlink()
    return ["sample", "run"]


def cut_weights(world: World) -> list[str]:
    path = world.weights()
    world.write(path, path.read_bytes()[:1000])
    return ["sample", "run"]


def foreign_weights(world: World) -> list[str]:
    out = world.weights()
    out.unlink()
    save_file({"w": torch.zeros(2)}, out)
    return ["sample", "run"]


def with_header(**changes: str):
    def prepare(world: World) -> list[str]:
        path = world.weights()
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() | changes
        tensors = load_file(path)
        path.unlink()
        save_file(tensors, path, metadata=header)
        return ["sample", "run"]

    return prepare


def other_networks(world: World) -> list[str]:
    path = world.weights()
    with safe_open(path, framework="numpy") as file:
        recipe = file.metadata()["recipe"]
    return with_header(recipe=recipe.replace("latent: 64", "latent: 63"))(replace_run(world))


def replace_run(world: World) -> World:
    shutil.rmtree(world.here / "run")
    return world


def all_damaged(world: World) -> list[str]:
    run = world.run()
    for step in run.steps():
        place = run.checkpoint(step)
        (world.here / place / "optimizers.safetensors").unlink()  # as a run of before had none
        world.write(place / "optimizers.pt", pickle.dumps(Trap(world.here)))
        state = json.loads((world.here / place / "state.json").read_text())
        state.pop("sha256")
        world.write(place / "state.json", json.dumps(state))
    return [*TINY[:-4], "--steps", "9", "--training.batch", "16"]


def damaged_metrics(world: World) -> list[str]:
    world.run()
    world.write("run/metrics.jsonl", b'{"step": 1}\n\0\0\0\0\n{"step": 2}\n')
    return TINY


def other_files(world: World) -> list[str]:
    world.write("run/thesis.tex", "years of work")
    return TINY


def another_recipe(world: World) -> list[str]:
    world.run()
    return [*TINY, "--method.latent", "32"]


def other_pictures(world: World) -> list[str]:
    world.pictures((16, 16), (16, 16))
    words = [*TINY, "--data", "photos", "--training.batch", "2"]
    assert cli.main(words) == 0
    world.write("photos/2.png", (world.here / "photos" / "0.png").read_bytes())
    return words


def two_at_once(world: World) -> list[str]:
    lock = RunFolder(world.here / "run").locked()
    lock.__enter__()
    world.patch.setattr(World, "held", lock, raising=False)  # until the case is over
    return TINY


def file_at(name: str, *words: str):
    def prepare(world: World) -> list[str]:
        world.run()
        world.write(name, "a file")
        return list(words)

    return prepare


def photos(*sizes: tuple[int, int], spoil: str = "", words: tuple[str, ...] = ()):
    def prepare(world: World) -> list[str]:
        world.pictures(*sizes).mkdir(exist_ok=True)
        if spoil == "cut":
            path = world.here / "photos" / "0.png"
            world.write(path, path.read_bytes()[:60])
        if spoil == "text":
            world.write("photos/0.png", "no image")
        return [*TINY, "--data", "photos", *words]

    return prepare


def array(**arrays: np.ndarray):
    def prepare(world: World) -> list[str]:
        np.savez(world.here / "set.npz", **arrays)
        return [*TINY, "--data", "set.npz"]

    return prepare


def pickled_array(world: World) -> list[str]:
    np.savez(world.here / "set.npz", images=np.array([Trap(world.here)], dtype=object))
    return [*TINY, "--data", "set.npz"]


def cifar(*words: str) -> list[str]:
    return ["train", "gan-cifar10", "--data-home", "home", *TINY[2:], *words]


def tar_of(members: dict[str, bytes | None]) -> bytes:
    """A tar.gz; a member without content is a link to the folder above."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, ".."
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return out.getvalue()


def malicious_batches(world: World) -> list[str]:
    trap = pickle.dumps({"data": Trap(world.here), "labels": []}, protocol=2)
    members = {f"cifar-10-batches-py/data_batch_{n}": trap for n in range(1, 6)}
    world.write("home/cifar10/cifar-10-python.tar.gz", tar_of(members))
    return cifar()


def malicious_tar(name: str, content: bytes | None = b"x"):
    def prepare(world: World) -> list[str]:
        world.write("home/cifar-10-binary.tar.gz", tar_of({"readme": b"x", name: content}))
        return cifar()

    return prepare


def malicious_zip(world: World) -> list[str]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data_batch_1.bin", b"x")
        archive.writestr("../../evil.txt", b"x")
    world.write("home/cifar-10-binary.tar.gz", out.getvalue())
    return cifar()


def idx(content: bytes):
    def prepare(world: World) -> list[str]:
        for name in ("train-images-idx3", "train-labels-idx1"):
            world.write(f"home/mnist/{name}-ubyte.gz", content)
        return ["train", "gan-mnist", "--data-home", "home", *TINY[2:]]

    return prepare


def cut_gz(world: World) -> list[str]:
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 60_000, 28, 28)
    whole = gzip.compress(head + np.random.default_rng(0).bytes(50_000))
    return idx(whole[:20_000])(world)


def offline(world: World) -> list[str]:
    entry = CATALOG["mnist"]
    files = tuple(replace(file, urls=(f"http://127.0.0.1:9/{file.name}",)) for file in entry.files)
    world.patch.setitem(CATALOG, "mnist", replace(entry, files=files))
    world.patch.setattr(download, "_WAIT", 0.0)
    world.patch.setenv("NAQSH_DATA_HOME", str(world.here / "nothing"))
    return ["train", "gan-mnist", *TINY[2:]]


def full_disk(world: World) -> list[str]:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    world.patch.setattr(runfolder.os, "fsync", full)
    return TINY


def yaml_file(text: str):
    def prepare(world: World) -> list[str]:
        world.write("mine.yaml", text)
        return ["train", "mine.yaml", *TINY[2:]]

    return prepare


def named(name: str):
    """A recipe of that name, trained where runs go by themselves."""

    def prepare(world: World) -> list[str]:
        rest = "data: {name: digits}, method: {kind: gan}, training: {steps: 1}"
        world.write("mine.yaml", f"{{name: {name}, {rest}}}")
        return ["train", "mine.yaml", "--device", "cpu", "--quiet"]

    return prepare


CASES = {
    # the words themselves
    "no command": ([], r"required: COMMAND; see `naqsh --help`"),
    "unknown command": (["trian", "gan-digits"], r"no command named 'trian'; did you mean 'train'"),
    "no recipe": (["train"], r"required: recipe; see `naqsh train --help`"),
    "unknown recipe": (["train", "gan-digit"], r"no recipe named 'gan-digit'; did you mean 'gan-d"),
    "recipe that is nothing": (["train", ""], r"the word after train is empty; give a value"),
    "data of an unset variable": (
        [*TINY, "--data", ""],
        r"--data is empty; give a value, or leave",
    ),
    "out of an unset variable": ([*TINY, "--out="], r"--out is empty; give a value"),
    "features of blanks": (["measure", "fid", "a", "b", "--features", " "], r"--features is empty"),
    "number of an unset variable": ([*TINY, "--method.latent", ""], r"--method\.latent is empty"),
    "run of an unset variable": (["sample", ""], r"the word after sample is empty"),
    "one of several empty": (["report", "a", ""], r"the word after a is empty"),
    "search of an unset variable": (["tune", "gan-digits", "--search", ""], r"--search is empty"),
    "help on an unknown recipe": (["train", "gna-mnist", "--help"], r"did you mean 'gan-mnist'"),
    "unknown option": ([*TINY, "--epoch", "3"], r"no option named '--epoch'; did you mean '--epo"),
    "option without a value": ([*TINY, "--training.seed"], r"--training\.seed needs a value"),
    "option before an option": ([*TINY, "--method.latent", "--quiet"], r"latent needs a value"),
    "loose word": ([*TINY, "fast"], r"what is 'fast'\? Options are written --name value"),
    "epochs and steps": ([*TINY, "--epochs", "3"], r"not allowed with argument --steps"),
    "unknown list": (["list", "models"], r"no list named 'models'; known: data, f"),
    "option of list": (["list", "--all=yes"], r"no option named '--all'"),
    # the numbers of a recipe
    "unknown number": ([*TINY, "--method.latnt", "3"], r"latnt: .*did you mean 'latent'"),
    "unknown part": ([*TINY, "--metod.latent", "3"], r"metod: .*did you mean 'method'"),
    "part of a number": ([*TINY, "--method.latent.size", "3"], r"latent is a single value"),
    "text for a number": ([*TINY, "--training.batch", "many"], r"batch: need a whole number, got"),
    "part of an image": ([*TINY, "--training.batch", "1.5"], r"need a whole number, got '1\.5'"),
    "zero batch": ([*TINY, "--training.batch", "0"], r"batch must be above 0, got 0"),
    "one image": ([*TINY, "--training.batch", "1"], r"one image at a time is too few"),
    "negative epochs": (
        [*TRAIN[:-2], "--epochs", "-1"],
        r"epochs must be above 0, got -1\.0",
    ),
    "endless epochs": ([*TRAIN[:-2], "--epochs", "inf"], r"epochs: need a finite number, got inf"),
    "too many epochs": ([*TRAIN[:-2], "--epochs", "1e300"], r"epochs must be at most 1e9"),
    "too many steps": ([*TRAIN[:-2], "--steps", "9" * 20], r"steps must be at most 1e12"),
    "no steps": ([*TRAIN[:-2], "--steps", "0"], r"steps must be above 0, got 0"),
    "batch that cannot be cut": (
        [*TINY, "--training.accumulate", "3"],
        r"accumulate 3 does not divide batch 16",
    ),
    "rate of zero": ([*TINY, "--method.critic.lr", "0"], r"method\.critic: lr must be above 0"),
    "rate not a number": ([*TINY, "--method.critic.lr", "nan"], r"need a finite number, got nan"),
    "negative decay": (
        [*TINY, "--method.critic.weight_decay", "-1"],
        r"weight_decay must be at least 0, got -1\.0",
    ),
    "negative momentum": (
        [*TINY, "--method.critic.kind", "sgd", "--method.critic.momentum", "-1"],
        r"momentum must be at least 0",
    ),
    "unknown optimiser": ([*TINY, "--method.critic.kind", "adan"], r"did you mean 'adam'\?"),
    "number of another optimiser": (
        [*TINY, "--method.critic.kind", "sgd", "--method.critic.betas", "0,0.9"],
        r"method\.critic\.betas: no key named 'betas'",
    ),
    "unknown objective": (
        [*TINY, "--method.objective", "hinges"],
        r"method\.objective: no choice named 'hinges'; did you mean 'hinge'",
    ),
    "one beta": ([*TINY, "--method.critic.betas", "0.5"], r"betas: need 2 values, got 1"),
    "unknown precision": ([*TINY, "--precision", "float16"], r"did you mean 'bfloat16'|'float32'"),
    "average beyond one": ([*TINY, "--training.ema", "1.5"], r"ema must lie between 0 and 1"),
    "network past any memory": (
        [*TINY, "--method.latent", "1" + "0" * 18],
        r"latent must be at most 10",
    ),
    "network past this memory": ([*TINY, "--method.width", "4000"], r"needs about .*smaller"),
    "batch past this memory": ([*TINY, "--training.batch", "1" + "0" * 12], r"smaller training\.b"),
    # the device
    "device nonsense": ([*TINY, "--device", "gpu"], r"no device named 'gpu'; known: auto, cpu"),
    "device of another kind": ([*TINY, "--device", "meta"], r"no device named 'meta'"),
    "device numbered nonsense": ([*TINY, "--device", "cuda:x"], r"no device named 'cuda:x'"),
    # runs to open
    "run that is not there": (["sample", "runs/none"], r"no run at runs/none: there is no such fo"),
    "run that is a file": (file_at("x", "sample", "x"), r"no run at x"),
    "run that is none": (["sample", "."], r"\. is no run: it has no recipe\.yaml"),
    "report of no run": (["report", "."], r"\. is no run"),
    "report of nothing": (["report", "none"], r"no run at none"),
    "recipe no YAML": (on("recipe.yaml", "a: ["), r"run/recipe\.yaml: this is not YAML"),
    "recipe empty": (on("recipe.yaml", ""), r"run/recipe\.yaml: recipe: need named values"),
    "recipe no text": (on("recipe.yaml", b"\xff\xfe\0"), r"run/recipe\.yaml is damaged"),
    "recipe of aliases": (on("recipe.yaml", "a: &b 1\nc: *b"), r"recipe\.yaml: this is not YAML"),
    "key of tomorrow": (key_of_tomorrow("sample", "run"), r"recipe\.yaml: colour: no key named"),
    "going on past a key of tomorrow": (key_of_tomorrow(*TINY), r"colour: no key named 'colour'"),
    "no checkpoint": (no_checkpoint, r"run has no checkpoint yet; train it further"),
    "checkpoint without weights": (half_a_checkpoint, r"weights\.safetensors is missing"),
    "weights cut short": (cut_weights, r"weights\.safetensors is damaged"),
    "weights of another program": (foreign_weights, r"was not written by Naqsh"),
    "weights of other networks": (other_networks, r"holds other networks than its recipe"),
    "header that is no recipe": (with_header(recipe="x: ["), r"header that does not fit"),
    "header without a shape": (with_header(shape="16"), r"header that does not fit"),
    "header with odd sides": (with_header(shape="[1, 15, 15]"), r"sides must divide by 4"),
    "header cut short": (with_header(classes="["), r"header that does not fit"),
    "malicious optimisers": (all_damaged, r"no checkpoint in run/checkpoints can be read"),
    "damaged metrics": (damaged_metrics, r"metrics\.jsonl, line 2 is damaged"),
    # where to write
    "out that is a file": (file_at("x", *TINY, "--out", "x"), r"x cannot be a folder: a file"),
    "out under a file": (file_at("x", *TINY, "--out", "x/y"), r"cannot be a folder: a file stands"),
    "out with other files": (other_files, r"run holds other files; give an empty or new --out"),
    "out of another recipe": (
        another_recipe,
        r"run holds a run with method\.latent 64, not 32; give another --out",
    ),
    "out with other images": (other_pictures, r"trained on other images than photos has"),
    "out with too long a name": (
        [*TINY, "--out", "x" * 300],
        r"a name is too long: x+… \(File name t",
    ),
    "two at once": (two_at_once, r"another training writes to run; wait for it or give another"),
    "grid that is no png": (file_at("x", "sample", "run", "--out", "a.jpg"), r"ending in \.png"),
    "grid that is a folder": (file_at("x", "sample", "run", "--out", "."), r"ending in \.png"),
    "grid under a file": (file_at("x", "sample", "run", "--out", "x/a.png"), r"x cannot be a fo"),
    "folder that is a file": (file_at("x", "sample", "run", "--folder", "x"), r"x cannot be a fol"),
    "grid and folder": (["sample", "run", "--out", "a", "--folder", "b"], r"not allowed with"),
    "name that is a path": (named("../../evil"), r"name '\.\./\.\./evil' cannot name a folder"),
    "name that is none": (named('""'), r"name '' cannot name a folder"),
    "name that goes up": (named('".."'), r"name '\.\.' cannot name a folder"),
    # what to sample
    "no images": (file_at("x", "sample", "run", "--n", "0"), r"need n and batch above 0"),
    "no columns": (file_at("x", "sample", "run", "--columns", "0"), r"at least 1 column, got 0"),
    "images as text": (["sample", "run", "--n", "ten"], r"--n needs a whole number, got 'ten'"),
    "rate as text": (
        ["detect", "run", "x", "--false-alarms", "5%"],
        r"--false-alarms needs a number",
    ),
    "steps as text": (
        ["samplers", "run", "--steps", "5,x"],
        r"--steps needs whole numbers, got '5,x",
    ),
    "run by its recipe's name": (run_in_runs("sample", "gan"), r"no run at gan: .*mean runs/gan\?"),
    "run misspelt": (run_in_runs("sample", "runs/gen"), r"no run at runs/gen: .*mean runs/gan\?"),
    "file of a run": (
        run_in_runs("report", "runs/gan/run.json"),
        r"a file of a run; give .* runs/gan",
    ),
    "run as a recipe": (
        run_in_runs("train", "runs/gan"),
        r"is a run; to train it further: na",
    ),
    "measure of no metric": (
        ["measure", "fdi", "a", "b"],
        r"no metric named 'fdi'; did you mean 'f",
    ),
    "measure of nothing": (["measure", "fid", "a", "b"], r"no data set named 'a'"),
    "colours that differ": (
        in_two_shapes("measure", "fid", "grey", "photos", "--features", "pixels"),
        r"has images of 16x16x1 and photos of 16x16x3; give --channels to bring",
    ),
    "unknown sampling option": (
        file_at("x", "sample", "run", "--sampler", "ddim"),
        r"no option named '--sampler'; known: --batch, --caption, ",
    ),
    # data
    "unknown data": ([*TINY, "--data", "digts"], r"no data set named 'digts'; did you mean 'digi"),
    "data that is not there": ([*TINY, "--data", "my/photos"], r"there is no folder or file my/"),
    "data that is no data": (
        file_at("x.txt", *TINY, "--out", "new", "--data", "x.txt"),
        r"x\.txt is no data set",
    ),
    "empty folder": (photos(), r"photos has no images; a data set needs at least 2"),
    "one image in it": (photos((16, 16)), r"photos has 1 image; a data set needs at least 2"),
    "cut image": (photos((16, 16), (16, 16), spoil="cut"), r"image .*0\.png cannot be read"),
    "no image": (photos((16, 16), (16, 16), spoil="text"), r"0\.png cannot be decoded"),
    "mixed sizes": (photos((16, 16), (20, 16)), r"images differ in size: .*16x16, .*20x16"),
    "odd sizes": (photos((18, 18), (18, 18)), r"images of 18x18x1: sides must divide by 4"),
    "odd size asked for": ([*TINY, "--data.size", "30"], r"sides must divide by 4, got 30x30"),
    "size of nothing": ([*TINY, "--data.size", "2"], r"size must be at least 4, got 2"),
    "two channels": ([*TINY, "--data.channels", "2"], r"channels must be 1 or 3, got 2"),
    "malicious array": (pickled_array, r"set\.npz is refused \(images: it holds a pickle"),
    "array of floats": (
        array(images=np.zeros((4, 8, 8))),
        r"with values from 0 to 0, not uint8; give",
    ),
    "array without images": (
        array(weights=np.zeros(3, np.uint8)),
        r"holds weights \(3 uint8\); none",
    ),
    "malicious batches": (malicious_batches, r"is refused: its pickle asks for .*mkdir"),
    "malicious tar": (malicious_tar("../../evil.txt"), r"'\.\./\.\./evil\.txt' lies outside it"),
    "malicious absolute tar": (malicious_tar("/tmp/evil"), r"'/tmp/evil' lies outside it"),
    "malicious link": (malicious_tar("evil", None), r"'evil' is a link or a device"),
    "malicious zip": (malicious_zip, r"'\.\./\.\./evil\.txt' lies outside it"),
    "idx of another magic": (idx(gzip.compress(b"\1\2\3\4")), r"is not an IDX file \(it begins wi"),
    "idx of other sizes": (
        idx(gzip.compress(struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 28, 28))),
        r"2147483648x28x28, not 60000x28x28",
    ),
    "idx not packed": (idx(b"\0\0\10\3 plain"), r"cannot be read"),
    "idx cut short": (cut_gz, r"cannot be read \(Compressed file ended"),
    "offline": (
        offline,
        r"'mnist' needs train-images.*no connection to 127\.0\.0\.1.*put that file into .*"
        r"--data digits, which needs no download",
    ),
    # files of recipes
    "file that is not there": (["train", "no.yaml"], r"cannot read no\.yaml: No such file"),
    "file that is no YAML": (yaml_file("a: b: c"), r"mine\.yaml: this is not YAML"),
    "file that runs code": (
        yaml_file("!!python/object/apply:os.mkdir [evil]"),
        r"this is not YAML",
    ),
    "file without a name": (yaml_file("data: {name: digits}"), r"mine\.yaml: name: missing"),
    # while it runs
    "loss that explodes": (
        [*TINY, "--steps", "3", "--method.generator.lr", "1e30"],
        r"total of phase critic is nan in step 2; the last good checkpoint is of step 1\. Try a l",
    ),
    "weights that explode": (
        [*TINY, "--steps", "3", "--method.generator.lr", "1e39"],
        r"of phase generator is inf in step 1; none is saved yet\. Try a lower learning rate",
    ),
    "full disk": (full_disk, r"cannot write run/recipe.yaml: No space left on device"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_2(case, alone, finished, monkeypatch, capsys):
    prepare, line = CASES[case]
    world = World(alone, finished, monkeypatch)
    words = prepare(world) if callable(prepare) else prepare
    capsys.readouterr()
    try:
        code = cli.main(words)
    finally:
        if held := getattr(World, "held", None):
            held.__exit__(None, None, None)
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("naqsh: ")
    assert re.search(line, captured.err), captured.err
    assert len(captured.err) < 900
    assert captured.out == ""
    assert code == 2
    assert not list(alone.parent.rglob("evil*"))
    assert not Path("/tmp/evil").exists()


def test_there_are_enough_cases():
    assert len(CASES) >= 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("verb", [TINY, ["sample", "run"]])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(verb, device, alone, finished, monkeypatch, capsys):
    World(alone, finished, monkeypatch).run()
    assert cli.main([*verb, "--device", device]) == 2
    told = f"naqsh: device {device}: PyTorch finds no GPU here; use --device cpu\n"
    assert capsys.readouterr().err == told


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
def test_a_disk_that_is_really_full(alone, finished, monkeypatch, capsys):
    """No file may pass a million bytes, which small files do not and weights do."""
    import resource

    run = World(alone, finished, monkeypatch).run()
    before = [(p, p.stat().st_mtime_ns) for p in run.checkpoints.rglob("*")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        code = cli.main([*TINY, "--steps", "7"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    line = r"^naqsh: cannot write the checkpoint of step \d in run: .*; the one before it stands\. "
    assert re.search(line, capsys.readouterr().err)
    assert [(p, p.stat().st_mtime_ns) for p in run.checkpoints.rglob("*")] == before
    # With room again the same command goes on.
    assert cli.main([*TINY, "--steps", "7"]) == 0
    assert run.steps()[-1] == 7


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_folder_that_may_not_be_written(alone, capsys):
    alone.chmod(0o500)
    assert cli.main(TINY) == 2
    assert re.fullmatch(r"naqsh: cannot write .*: Permission denied\n", capsys.readouterr().err)


def test_a_fault_of_ours_is_not_dressed_up(alone, monkeypatch):
    from naqsh.training import launch

    def broken(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(launch, "train", broken)
    with pytest.raises(RuntimeError, match="a bug"):  # Python leaves with 1 and a traceback
        cli.main(TINY)
