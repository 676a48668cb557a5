"""Several processes for one stage, a GPU each, on one machine or several; torchrun starts them.

A stage calls `start` before anything else. Alone it just goes on; where it is to run in several processes,
it becomes their launcher, and they all run the same script again from its beginning. Started by
`torchrun` or `accelerate launch` it is one of them already. Without a GPU they compute on the CPU.
"""

import atexit
import logging
import os
import signal
import sys
import traceback
from datetime import timedelta

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from asr.runtime.errors import hand_over

PATIENCE = timedelta(hours=1)  # for a process that the others wait for, such as the first one saving


def start(stage_module: str, num_processes: int, several_machines: bool = True) -> None:
    """Run the current stage in as many processes as are wanted; returns in each of them.

    In the process that starts them it never returns: it ends when they have ended, with their message.

    Parameters
    ----------
    stage_module: as after `python -m`, such as "stages.train"
    num_processes: on this machine
    several_machines: whether to look for others, where torchrun's PET_NNODES says that there are some

    Raises
    ------
    ValueError: there are fewer GPUs than processes.
    """
    if "LOCAL_RANK" in os.environ:
        _require_gpus(stage_module, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        _join()
    elif num_processes > 1 or (several_machines and "PET_NNODES" in os.environ):
        _require_gpus(stage_module, num_processes)
        _launch(stage_module, num_processes, several_machines)
    else:
        # The trainer would take every GPU that it sees, with a batch for each.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def rank() -> int:
    """Return this process' number among all of them, from 0."""
    return PartialState().process_index


def count() -> int:
    """Return how many processes there are, on all machines."""
    return PartialState().num_processes


def is_first() -> bool:
    """Tell whether this is the process that writes; true where it is alone."""
    return PartialState().is_main_process


def together() -> None:
    """Wait until all processes have come here."""
    PartialState().wait_for_everyone()


def gather(objects: list) -> list:
    """Return the objects of all processes, in the order of their ranks, to each of them."""
    return gather_object(objects)


def _require_gpus(stage_module: str, num_processes: int) -> None:
    if torch.cuda.is_available() and num_processes > torch.cuda.device_count():
        raise ValueError(
            f"{num_processes} processes on this machine, which has {torch.cuda.device_count()} GPUs:"
            f" set {stage_module.split('.')[-1]}.num_processes to their number or less"
        )


def _join() -> None:
    """Enter the group of processes, each on its own GPU; the first one speaks for all."""
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"  # or the trainer takes no notice of the other processes
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    atexit.register(state.destroy_process_group)
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        sys.excepthook = lambda kind, error, trace: hand_over("".join(traceback.format_exception(error)))
    if not state.is_main_process:
        logging.disable(logging.WARNING)
        transformers.utils.logging.disable_progress_bar()


def _launch(stage_module: str, num_processes: int, several_machines: bool) -> None:
    """Start the processes, wait for them and end as they do."""
    # torchrun's own choice is one thread each, however many cores there are.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // num_processes)))
    # torchrun's loggers have levels of their own: they say at length what is said below, and call it an error
    # that the first machine's store has gone before another's launcher heard that all are done.
    logging.disable(logging.CRITICAL)
    where = [f"--nproc-per-node={num_processes}"]
    if not several_machines:
        where += ["--nnodes=1", "--standalone"]
    if not several_machines or "PET_NNODES" not in os.environ:
        where += ["--local-addr=localhost"]  # a machine's own name may lead nowhere, as in containers
    try:
        torchrun.run(torchrun.parse_args([*where, "-m", stage_module, *sys.argv[1:]]))
    except ChildFailedError as error:
        sys.exit(_reason(stage_module.split(".")[-1], error.failures))
    except SignalException as error:
        sys.exit(128 + error.sigval)
    sys.exit()


def _reason(stage: str, failures: dict[int, ProcessFailure]) -> str | int:
    """Find what went wrong first; an exit code where no process has said it."""
    for number, failure in failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:  # which is torchrun's, to the others
            hint = ": is there enough memory?" if failure.exitcode == -signal.SIGKILL else ""
            return f"{stage}: process {number} was ended by {failure.signal_name()}{hint}"
    # Of `hand_over` in asr/runtime/errors.py.
    reports = [f.error_file_data for f in failures.values() if "time_ns" in f.error_file_data]
    if not reports:
        return 1
    return min(reports, key=lambda report: report["time_ns"])["message"]
