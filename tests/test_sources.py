import subprocess
import sys


def test_a_source_needs_no_other_source_s_packages():
    script = """
import sys
for package in ("datacollective", "dv_normalizer", "espeakng_loader"):
    sys.modules[package] = None  # as if it were not installed
from asr.sources import archive, folder, hub, mdc
"""
    subprocess.run([sys.executable, "-c", script], check=True)
