"""How much memory a process and its children hold at most."""

import subprocess
import time
from dataclasses import dataclass

import psutil

SAMPLING_S = 0.1


@dataclass(frozen=True)
class Peak:
    """Largest sums over a process and its children, in bytes; what they share counts in each of them."""

    rss: int  # resident, with the files that are mapped, which the system may drop whenever it likes
    own: int  # without these


def watch(process: subprocess.Popen) -> Peak:
    """Watch a process until it ends."""
    rss = own = 0
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            family = [member.memory_info() for member in (parent, *parent.children(recursive=True))]
            rss = max(rss, sum(memory.rss for memory in family))
            own = max(own, sum(memory.rss - memory.shared for memory in family))
        except psutil.NoSuchProcess:
            pass  # one has just ended
        time.sleep(SAMPLING_S)
    return Peak(rss, own)
