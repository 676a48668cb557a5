"""constraints.txt pins all that is installed with the project, docs/licences.md has a line for each."""

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.recipes import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(name): version
    for name, version in (line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().split())
}


def unpinned(requirements, extras=()):
    """List what requirements bring, as far as it is installed, that has no exact version.

    What a package asks for by an exact version is pinned with it, such as a GPU's libraries by torch.
    """
    found, seen = [], set()
    waiting = [(Requirement(text), extras) for text in requirements]
    while waiting:
        wanted, extras = waiting.pop()
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        name = canonicalize_name(wanted.name)
        if name not in PINS and not any(part.operator == "==" for part in wanted.specifier):
            found.append(name)
        if (name, *sorted(wanted.extras)) in seen:
            continue
        seen.add((name, *sorted(wanted.extras)))
        try:
            brings = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed
        waiting += [(Requirement(text), wanted.extras) for text in brings]
    return sorted(set(found))


def test_everything_is_pinned():
    assert unpinned(PROJECT["dependencies"]) == []
    for extra, requirements in PROJECT["optional-dependencies"].items():
        assert unpinned(requirements) == [], extra


def test_every_pin_has_its_licence_stated():
    page = (REPOSITORY / "docs/licences.md").read_text()
    rows = re.findall(r"^\| ([\w.-]+) \| (\d[\w.]*) \| ([^|]+) \|$", page, re.MULTILINE)
    assert {canonicalize_name(name): version for name, version, _ in rows} == PINS
