"""Write the table of licences in docs/licences.md anew, from what the installed packages say of themselves.

    make licences

tests/test_dependencies.py tells when it is out of date.
"""

import json
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.recipes import REPOSITORY
from tests.test_dependencies import PINS

PAGE = REPOSITORY / "docs/licences.md"
HEAD = "| package | version | licence |\n|---|---|---|\n"
# Looked up by hand, where a package states nothing.
UNSTATED = {
    "espeakng-loader": "not stated; the eSpeak NG inside is GPL-3.0-or-later",
}


def rows() -> dict[str, tuple[str, str, str]]:
    """Return name, version and licence of each installed package, by its canonical name."""
    pip_licenses = Path(sys.executable).with_name("pip-licenses")
    command = [pip_licenses, "--from=mixed", "--format=json", "--with-system"]  # system: setuptools
    listed = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    found = {}
    for package in listed:
        name, licence = package["Name"], package["License"]
        licence = UNSTATED.get(name, licence.splitlines()[0].strip())  # some give the whole text of it
        found[canonicalize_name(name)] = (name, package["Version"].split("+")[0], licence)
    return found


def main() -> None:
    found = rows()
    missing = [name for name, version in PINS.items() if found.get(name, ("", "", ""))[1] != version]
    if missing:
        sys.exit(f"not installed in the pinned version: {', '.join(missing)}: `make licences` installs them")
    unknown = [name for name in PINS if found[name][2] in ("", "UNKNOWN")]
    if unknown:
        sys.exit(f"no licence stated: {', '.join(unknown)}: look it up, and put it into {__name__}.UNSTATED")
    table = "".join("| {} | {} | {} |\n".format(*found[name]) for name in sorted(PINS))
    text = PAGE.read_text().split(HEAD)[0]
    PAGE.write_text(text + HEAD + table)


if __name__ == "__main__":
    main()
