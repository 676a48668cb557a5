"""The first sheet of a spreadsheet program's file that is not empty, read in a process of its own.

python-calamine lays out all cells between the first and the last one. A stray cell at the lower right of a
sheet takes 500 GB then, for which Rust aborts the process.
"""

import json
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".xlsx", ".ods", ".xls")
MEMORY, PROCESSOR_S = 4 * 2**30, 300  # bytes, and seconds, of that process
logger = logging.getLogger(__name__)


def read_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each row; numbers become text, an empty cell "".

    Raises
    ------
    ValueError: no workbook, protected by a password, or too large.
    """
    command = [sys.executable, "-P", __file__, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        sheets = json.loads(reader.stdout.readline() or "[]")
        if len(sheets) > 1:
            logger.warning("%s: of its %d sheets, %r is read", file, len(sheets), sheets[0])
        for number, line in enumerate(reader.stdout, start=1):
            yield number, json.loads(line)
        said = reader.stderr.read().splitlines()
    if reader.returncode:
        limits = f"it takes more than {MEMORY >> 30} GiB or {PROCESSOR_S} s: is a cell far from the others?"
        why = limits if reader.returncode < 0 else said[-1]
        raise ValueError(f"{file} cannot be read ({why}): save its sheet as CSV in UTF-8")


def _print_rows(file: str) -> None:
    """Print the names of the sheets that are not empty, then a row a line, as JSON."""
    import python_calamine

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))
    try:
        book = python_calamine.load_workbook(file)
        sheets = [sheet for sheet in map(book.get_sheet_by_name, book.sheet_names) if sheet.end]
    except python_calamine.CalamineError as error:
        sys.exit(str(error))
    print(json.dumps([sheet.name for sheet in sheets]))
    for row in sheets[0].iter_rows() if sheets else []:
        print(json.dumps([_text(cell) for cell in row]))


def _text(cell: object) -> str:
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


if __name__ == "__main__":
    _print_rows(sys.argv[1])
