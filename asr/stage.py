"""What every stage script does around its `main()`: logging, and errors as messages."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODE = Path(__file__).resolve().parent.parent


@contextmanager
def report_errors(stage: str) -> Iterator[None]:
    """Log a stage's progress to stderr; end on an expected error with its message and exit code 1.

    Expected are an `OSError` (a file, the disk, the network), wherever it comes from, and a `ValueError`
    that our own code raises, which says what to mend. All else is a defect and keeps its traceback.
    """
    logging.basicConfig(format="%(name)s: %(message)s")
    for ours in (stage, "asr"):
        logging.getLogger(ours).setLevel(logging.INFO)
    try:
        yield
    except OSError as error:
        sys.exit(f"{stage}: {error}")
    except ValueError as error:
        if not _raised_by_us(error):
            raise
        sys.exit(f"{stage}: {error}")


def _raised_by_us(error: Exception) -> bool:
    """Tell whether the innermost frame of an error is in asr/ or stages/, not in a library."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    file = Path(frame.tb_frame.f_code.co_filename).resolve()
    return file.parent == CODE / "stages" or file.is_relative_to(CODE / "asr")
