"""The files in a folder, by the names that tables give them. None outside of the folder is read."""

import os
from collections import defaultdict
from functools import cached_property
from itertools import chain
from pathlib import Path

from asr.audio.formats import SUFFIXES
from asr.sources.metadata import clean_name


class Files:
    """The files below `root`, found by name."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._start = os.path.join(self.root, "")

    def find(self, name: str, home: str) -> tuple[str, str]:
        """Find the file that a table names; return its path from the root, links followed, and the problem.

        If there is no such file, it is the one whose path ends as the name does, or that the name ends with:
        corpora are moved, and folders left out. Its name may be composed otherwise (NFC, NFD), have
        backslashes, another case, or no suffix.

        Parameters
        ----------
        home: the table's folder, relative to the root

        Returns
        -------
        a path or a problem, and "" for the other one
        """
        path, problem = self._inside(os.path.join(self._start, home, name))
        if problem and name:
            other = self._by_end(clean_name(name).casefold(), clean_name(home).casefold())
            return self._inside(self._start + other) if other else ("", problem)
        return path, problem

    def _inside(self, path: str) -> tuple[str, str]:
        try:
            file = os.path.realpath(path)
        except ValueError:  # no name of a file: it has a NUL
            return "", "no_audio"
        if not os.path.join(file, "").startswith(self._start):
            return "", "outside_folder"
        return (file.removeprefix(self._start), "") if os.path.isfile(file) else ("", "no_audio")

    def _by_end(self, name: str, home: str) -> str | None:
        """Return the path of the one file that fits a name best, relative to the root.

        A relative name has to have a folder in common with it: a missing "test/1.wav" is not "1.wav".
        """
        last = name.rpartition("/")[2]
        least = 0 if name.startswith("/") or name[1:3] == ":/" else 1  # slashes
        fitting = defaultdict(list)
        for key in {last, _without_suffix(last)}:
            for path, file in self._by_name.get(key, ()):
                path = path if path.rpartition("/")[2] == last else _without_suffix(path)
                shorter = f"/{name}".endswith(f"/{path}") and path.count("/") >= least
                if shorter or f"/{path}".endswith(f"/{name}"):
                    is_same = path in (name, f"{home}/{name}")
                    fitting[is_same, f"/{path}".startswith(f"/{home}/"), min(len(path), len(name))].append(
                        file
                    )
        best = fitting[max(fitting)] if fitting else []
        return best[0] if len(best) == 1 else None

    def names(self) -> dict[str, list[str]]:
        """List the paths of all files by what they are, composed in lower case."""
        names = defaultdict(list)
        for path, file in chain.from_iterable(self._by_name.values()):
            names[path].append(file)
        return names

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, str]]]:
        """List paths by the file's name, a recording's without suffix: composed in lower case, and as is."""
        files = defaultdict(list)
        for folder, _, names in os.walk(self.root):
            for name in names:
                file = os.path.relpath(os.path.join(folder, name), self.root)
                path = clean_name(file).casefold()
                files[_without_suffix(path.rpartition("/")[2])].append((path, path if file == path else file))
        return files


def _without_suffix(name: str) -> str:
    start, suffix = os.path.splitext(name)
    return start if suffix in SUFFIXES else name
