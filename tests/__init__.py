"""Tests, which begin with an environment of their own.

What starts them may itself have been started by git, as a hook, or by DVC, Slurm or torchrun, whose variables
change what every stage does; and no proxy leads to the servers that tests start. There is no network. All
computes in one thread: two torch processes that share two cores slow each other tenfold, and what is compared
to the last bit would be added up in another order.
"""

import os
import sys
from pathlib import Path

_STARTED_BY = ("GIT_", "DVC_", "PET_", "SLURM_", "TORCHELASTIC_", "ASR_")
_ONE_OF_SEVERAL = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")

for _name in list(os.environ):
    if _name.startswith(_STARTED_BY) or _name in _ONE_OF_SEVERAL or _name.lower() in _PROXIES:
        del os.environ[_name]
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
