"""Each module has its test at its own path, and each test file names a module or lies with the journeys.

``medseg_monai/a/b.py`` is tested by ``tests/a/test_b.py``. ``tests/journeys`` holds what concerns many modules at once: whole commands,
every bundle, every documented name, a server and the requests that it gets.
"""

import ast
from pathlib import Path

from conftest import REPOSITORY

PACKAGE, TESTS = REPOSITORY / "medseg_monai", REPOSITORY / "tests"
JOURNEYS = "journeys"
BESIDE_THE_PACKAGE = ("benchmarks", "scripts")
OTHER_TESTS = {
    "benchmarks/test_other_kinds.py": "the kinds that benchmarks/other_pictures.py and other_volumes.py draw",
    "grids/test_grid_of.py": "what grids/__init__.py does",
    "networks/test_all.py": "one battery for every network",
    "networks/test_contract.py": "what networks/__init__.py asks of a network",
    "test_addresses.py": "this file",
}
DRIVEN_AS_A_WHOLE = {
    "app/page": "what a browser shows: journeys/test_app_in_browser.py uses it",
    "cli": "arguments of commands: journeys/test_cli.py runs them, program/test_imports.py their mistakes",
    "federated/flare": "what NVFlare runs: journeys/test_federated_simulator.py trains with it",
    "label/server": "routes of a server: journeys/test_label_server.py and test_hostile_requests.py send it requests",
}
TESTED_ELSEWHERE = {
    "evaluation/handler.py": "journeys/test_configs.py",
    "evaluation/run.py": "journeys/test_configs.py",
    "export/wheel.py": "journeys/test_installed.py",
    "images/dicom_stack.py": "images/test_dicom.py",
    "label/serve.py": "label/test_labels.py",
}
"""Modules that the tests of another one go through, and where: this list gets shorter, never longer."""


def has_behaviour(module: Path) -> bool:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def modules() -> set[str]:
    """Modules with functions, by their path in the package; those that another place drives as a whole are left out."""
    paths = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.name.startswith("__")}
    driven = tuple(f"{folder}/" for folder in DRIVEN_AS_A_WHOLE)
    return {
        path.as_posix() for path in paths if has_behaviour(PACKAGE / path) and not path.as_posix().startswith(driven)
    }


def address(module: str) -> str:
    path = Path(module)
    return path.with_name(f"test_{path.name}").as_posix()


def files_of_tests() -> set[str]:
    return {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def test_each_module_has_its_test_at_its_own_path() -> None:
    without = {module for module in modules() if address(module) not in files_of_tests()}
    assert without == set(TESTED_ELSEWHERE)
    assert set(TESTED_ELSEWHERE.values()) <= files_of_tests()


def test_each_test_file_names_a_module_or_is_a_journey() -> None:
    named = {address(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py")}
    for folder in BESIDE_THE_PACKAGE:
        named |= {address(path.relative_to(REPOSITORY).as_posix()) for path in (REPOSITORY / folder).rglob("*.py")}
    others = {file for file in files_of_tests() - named if not file.startswith(f"{JOURNEYS}/")}
    assert others == set(OTHER_TESTS)
