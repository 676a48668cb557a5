"""What stages and commands share: packages by what they are for."""

import os
import sys

# Stages depend on the packages here. Outside a recipe's folder DVC ignores nothing, so __pycache__ would be a
# part of them, and running a stage would make it stale.
sys.dont_write_bytecode = True

# torch's threads wait for each other by spinning, by default for so long that training beside another busy
# process takes more than ten times as long. libgomp reads this when torch is imported, so it is set here,
# which comes before (stages/__init__.py). A user's own setting of either variable stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
