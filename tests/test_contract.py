"""Every recipe's method keeps the contract, at tiny size."""

from pathlib import Path

import pytest

from contract import check_method
from naqsh import data, recipes


@pytest.mark.parametrize("name", recipes.all_recipes())
def test_contract(name: str, tmp_path: Path) -> None:
    recipe = recipes.by_name(name)
    channels = data.CATALOG[recipe.data.name].shape[0]
    check_method(recipe, channels, tmp_path)
