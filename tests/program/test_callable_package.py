"""Packages that are functions too, whichever is imported first."""

import inspect
import subprocess
import sys

import pytest

import medseg_monai as mm


@pytest.mark.parametrize(
    "program",
    [
        "import medseg_monai as mm; from medseg_monai.prepare.demo import prepare_demo; mm.prepare('nosuch')",
        "from medseg_monai import prepare; prepare('nosuch')",
        "import medseg_monai.prepare.demo as demo; demo.demo_spec(); import medseg_monai; medseg_monai.prepare('nosuch')",
    ],
)
def test_it_can_be_called_whatever_was_imported(program: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert ended.stderr.splitlines()[-1] == "FileNotFoundError: no such file or folder: nosuch"


def test_it_has_the_functions_signature_and_stays_a_package() -> None:
    from medseg_monai.api.explain import explain
    from medseg_monai.explain.files import TABLE_FILE

    assert inspect.signature(mm.explain) == inspect.signature(explain)
    assert TABLE_FILE == "explanations.csv"
    with pytest.raises(TypeError, match="unexpected keyword argument 'clases'"):
        mm.explain("unet", clases="lesion")  # type: ignore[call-arg]
