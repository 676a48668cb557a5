"""What stages and commands share: packages by what they are for."""

import sys

# Stages depend on the packages here. Outside a recipe's folder DVC ignores nothing, so __pycache__ would be a
# part of them, and running a stage would make it stale.
sys.dont_write_bytecode = True
