"""What the stages share, and the command `asr`."""

import os

# torch's threads wait for each other by spinning, by default for so long that training beside another busy
# process takes more than ten times as long. libgomp reads this when torch is imported, so it is set here,
# which comes before (stages/__init__.py). Either variable that a user has set stays as it is.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
