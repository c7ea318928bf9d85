"""Nothing here runs what a file says: no pickle, no eval, no shell; but for one reader that is fenced in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("perse", "perse_ray", "jobs", "examples", "benchmarks")

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.hub.load", "yaml.load",
    "numpy.loads", "pandas.read_pickle", "subprocess.getoutput", "commands.getoutput", "torch.package.PackageImporter",
}  # fmt: skip
ALLOWED = {
    # The converter: torch's restricted reader, whose keyword is looked at below.
    ("perse/data/tensor_files.py", "torch.load"),
    # The fuzzer makes pickles, and opens none.
    ("benchmarks/fuzz_targets.py", "pickle"),
}


def dangers(tree: ast.AST) -> Iterator[str]:
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for full in names.values():
        if full.partition(".")[0] in MODULES:
            yield full.partition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from dangers_of_call(node, names)


def dangers_of_call(call: ast.Call, names: dict[str, str]) -> Iterator[str]:
    first, dot, rest = ast.unparse(call.func).partition(".")
    name = names.get(first, first) + dot + rest
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in CALLS:
        yield name
    if name == "torch.load" and ast.unparse(keywords.get("weights_only", ast.Constant(None))) != "True":
        yield "torch.load without weights_only"
    for option in ("shell", "allow_pickle", "trust_remote_code"):
        if option in keywords and ast.unparse(keywords[option]) != "False":
            yield f"{option}="


def python_files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_nothing_here_runs_what_a_file_says() -> None:
    found = {
        (str(path.relative_to(ROOT)), danger)
        for path in python_files()
        for danger in dangers(ast.parse(path.read_text()))
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        "import pickle as p",
        "from pickle import loads",
        "import torch as t\nt.load(f)",
        "from torch import load\nload(f)",
        "import torch\ntorch.load(f, weights_only=maybe)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=x)",
        "eval('1')",
        "import yaml",
        "subprocess.run('ls', shell=True)",
        "from os import system\nsystem('ls')",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
    ],
)
def test_it_sees_them(code: str) -> None:
    assert list(dangers(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["model.eval()", "re.compile('x')", "np.load(f, allow_pickle=False)", "run(c, shell=False)", "import pickletools"],
)
def test_it_sees_nothing_else(code: str) -> None:
    assert not list(dangers(ast.parse(code)))
