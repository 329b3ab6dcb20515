"""The tool that asks whether a test notices a wrong formula, on a formula of its own."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "mutations.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("mutations", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutations"]


@pytest.fixture(scope="module")
def copy(tool, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for folder in ("src", "tests"):
        (root / folder).mkdir()
    (root / "src" / "squares.py").write_text("def square(x):\n    y = 0 + x\n    return y * x\n")
    test = "from squares import square\n\n\ndef test_two():\n    assert square(2) == 4\n"
    (root / "tests" / "test_squares.py").write_text(test)
    return tool.Copy(tmp_path_factory.mktemp("copies"), root)


CASES = {
    "killed": ("y * x", "y - x", ""),
    "survived": ("y * x", "y + x", ""),
    "equivalent": ("0 + x", "x + 0", "a sum does not depend on the order"),
    "called equivalent, but noticed by tests/test_squares.py::test_two": ("y * x", "y / x", "so"),
    "the text before stands 2 times in src/squares.py": (" x", "x", ""),
    "the text before stands 0 times in src/squares.py": ("z", "x", ""),
    "'(' was never closed": ("y * x", "(y * x", ""),
    "its tests did not run": ("def square", "1 / 0\ndef square", ""),
}


@pytest.mark.parametrize("said", CASES)
def test_what_becomes_of_a_mutation(said, tool, copy):
    before, after, equivalent = CASES[said]
    tests = ("tests/test_squares.py",)
    mutation = tool.Mutation("m", "src/squares.py", before, after, tests, "wrong", equivalent)
    file = copy.folder / "src" / "squares.py"
    right = file.read_text()
    verdict = copy.judge(mutation)
    assert file.read_text() == right
    is_error = said not in ("killed", "survived", "equivalent")
    assert (said in verdict.detail) if is_error else (verdict.how == said)
    assert (verdict.how == "error") == is_error
    assert verdict.is_wrong == (said not in ("killed", "equivalent"))


def test_tests_that_fail_anyway_prove_nothing(tool, copy):
    mutation = tool.Mutation("m", "src/squares.py", "y * x", "y", ("tests/test_squares.py",), "")
    broken = replace(mutation, tests=("tests/test_cubes.py",))
    with pytest.raises(RuntimeError, match="without any mutation the tests do not pass"):
        next(tool.run([mutation, broken], copy))


def test_a_test_that_fails_without_a_mutation_says_why(tool, copy):
    tests = ("tests/test_squares.py",)
    file = copy.folder / tests[0]
    right = file.read_text()
    file.write_text(right.replace("== 4", "== 5"))
    mutation = tool.Mutation("m", "src/squares.py", "y * x", "y", tests, "")
    try:
        with pytest.raises(RuntimeError, match=r"test_two\nE +assert 4 == 5"):
            next(tool.run([mutation], copy))
    finally:
        file.write_text(right)


def test_a_room_named_like_a_folder_of_outputs_is_copied(tool, tmp_path):
    for folder in ("root/runs", "root/src/runs", "copies"):
        (tmp_path / folder).mkdir(parents=True)
    made = tool.Copy(tmp_path / "copies", tmp_path / "root").folder
    assert (made / "src" / "runs").is_dir()
    assert not (made / "runs").exists()


def test_every_mutation_of_the_list_applies(tool):
    found = tool.read()
    for mutation in found:
        wrong = mutation.applied((tool.ROOT / mutation.file).read_text("utf-8"))
        compile(wrong, mutation.file, "exec")
        for test in mutation.tests:
            file, _, name = test.partition("[")[0].partition("::")
            assert f"def {name}" in (tool.ROOT / file).read_text("utf-8"), test
