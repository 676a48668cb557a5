"""A script for each stage of dvc.yaml: python -m stages.download, and so on."""

import asr  # noqa: F401  # before torch, which a stage may import before anything of ours
