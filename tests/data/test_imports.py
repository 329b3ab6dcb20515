import subprocess
import sys

import pytest

import naqsh.data


def test_the_catalogue_loads_nothing_heavy():
    code = (
        "import sys; from naqsh.data import CATALOG; assert 'digits' in CATALOG;"
        "heavy = {'torch', 'numpy', 'sklearn', 'requests', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_loading_pictures_needs_no_torch(tmp_path, picture):
    for index in range(2):
        picture(f"set/{index}.png", seed=index)
    code = (
        f"import sys; from naqsh.data import load; load({str(tmp_path / 'set')!r});"
        "heavy = {'torch', 'sklearn', 'requests'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_public_name_is_there():
    for name in naqsh.data.__all__:
        assert getattr(naqsh.data, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'loader_'"):
        _ = naqsh.data.loader_
