"""Several processes for one stage, a GPU each, on one machine or several; torchrun starts them.

A stage calls `start` first. It goes on alone, or becomes the launcher of processes that all run the same
script from its beginning. A stage that `torchrun` or `accelerate launch` started is one of them already.
Without a GPU they compute on the CPU.

torchrun in dvc.yaml would print a page of tracebacks where this prints one message, and start an agent and a
second Python for a single process too.
"""

import atexit
import logging
import os
import signal
import sys
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

TIMEOUT = timedelta(hours=1)  # of a process that waits for the others, such as for the first one saving


def start(stage_module: str, num_processes: int) -> None:
    """Run the current stage in `num_processes` processes on this machine; returns in each of them.

    The process that starts them ends when they have ended, with their message. Where torchrun's PET_NNODES
    is set, they find those of other machines.

    Parameters
    ----------
    stage_module: as after `python -m`, such as "stages.train"

    Raises
    ------
    ValueError: there are fewer GPUs than processes.
    """
    launched = "LOCAL_RANK" in os.environ
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if launched else num_processes
    if here > 1 and torch.cuda.is_available() and here > torch.cuda.device_count():
        raise ValueError(
            f"{here} processes on this machine, which has {torch.cuda.device_count()} GPUs:"
            f" set {stage_module.split('.')[-1]}.num_processes to their number or less"
        )
    if launched:
        _join()
    elif num_processes > 1 or "PET_NNODES" in os.environ:
        _launch(stage_module, num_processes)
    else:  # the trainer would take every GPU that it sees; CUDA reads the variable once, when first asked
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def rank() -> int:
    """Return this process' number among all of them, from 0."""
    return PartialState().process_index


def world_size() -> int:
    """Return the number of processes on all machines."""
    return PartialState().num_processes


def is_main() -> bool:
    """Tell whether this is the process that logs and writes."""
    return PartialState().is_main_process


def barrier() -> None:
    """Wait until all processes have come here."""
    PartialState().wait_for_everyone()


def gather(objects: list) -> list:
    """Return the objects of all processes, in the order of their ranks, to each of them."""
    return gather_object(objects)


def _join() -> None:
    """Enter the group of processes, each on its own GPU; only the main one logs."""
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"  # or the trainer ignores the other processes
    state = PartialState(cpu=on_cpu, timeout=TIMEOUT)
    atexit.register(state.destroy_process_group)
    if not state.is_main_process:
        logging.disable(logging.WARNING)


def _launch(stage_module: str, num_processes: int) -> None:
    """Start the processes, wait for them and end as they do."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # torchrun's own choice is one thread each, however many cores there are.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // num_processes)))
    # torchrun logs at length what `_reason` says, and as an error that the first machine's store has gone
    # before another machine's launcher heard that all are done.
    logging.disable(logging.CRITICAL)
    where = [f"--nproc-per-node={num_processes}"]
    if "PET_NNODES" not in os.environ:
        where += ["--local-addr=localhost"]  # a machine's own name may lead nowhere, as in containers
    try:
        torchrun.run(torchrun.parse_args([*where, "-m", stage_module, *sys.argv[1:]]))
    except ChildFailedError as error:
        sys.exit(_reason(stage_module.split(".")[-1], error.failures))
    except SignalException as error:
        sys.exit(128 + error.sigval)
    sys.exit()


def _reason(stage: str, failures: dict) -> str | int:
    """Find what failed first in torchrun's `ProcessFailure`s; an exit code where no process has said it."""
    for number, failure in failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:  # which torchrun sends to the others
            hint = ": is there enough memory?" if failure.exitcode == -signal.SIGKILL else ""
            return f"{stage}: process {number} was ended by {failure.signal_name()}{hint}"
    # Of `_end` in asr/runtime/errors.py.
    reports = [f.error_file_data for f in failures.values() if "time_ns" in f.error_file_data]
    return min(reports, key=lambda report: report["time_ns"])["message"] if reports else 1
