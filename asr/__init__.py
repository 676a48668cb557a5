"""What stages and commands share: packages by what they are for."""

import os
import signal
import sys
from typing import NoReturn

# Stages depend on the packages here. Outside a recipe's folder DVC ignores nothing, so __pycache__ would be a
# part of them, and running a stage would make it stale.
sys.dont_write_bytecode = True

# torch's threads wait for each other by spinning, by default for so long that training beside another busy
# process takes more than ten times as long. libgomp reads this when torch is imported, so it is set here,
# which comes before (stages/__init__.py). A user's own setting of either variable stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def end_while_importing(*_) -> NoReturn:
    """End on Ctrl+C with one line; an exception out of an import that takes seconds would be many."""
    if os.environ.get("RANK", "0") == "0":  # the first of several processes
        os.write(2, b"interrupted\n")
    os._exit(128 + signal.SIGINT)


# "-m" is there while `python -m` imports the package. asr/runtime/errors.py takes over when the work begins.
_is_started = sys.argv[0] == "-m" or os.path.basename(sys.argv[0]) == "asr"
if _is_started and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_while_importing)
