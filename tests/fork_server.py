"""A Python that has imported what the stages import, and forks a process for every start.

A stage on a test's few clips spends some five seconds of processor time on importing torch, transformers and
datasets, and less than one on its work. A process that is forked from here has these libraries already. The
code under test it imports from its own PYTHONPATH; only compiling that is done here.

`start` makes two commands, `python` and `dvc`. Both are fork_client.py: they send their command line, folder,
environment and standard streams to the server, and end as the process ends that it forks. Where that could
differ from a true Python, the server refuses, and they become a true one.
"""

import _imp
import ast
import atexit
import gc
import importlib
import marshal
import os
import pkgutil
import re
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NoReturn

REPOSITORY = Path(__file__).resolve().parent.parent
# Much of which DVC imports late; of packages, with the modules in them.
DVC = (
    "dvc.cli", "dvc.data_cloud", "dvc.repo", "dvc.repo.experiments", "dvc.utils.strictyaml", "dvc_data.index",
    "networkx", "scmrepo.git.backend",
)  # fmt: skip
# Huge pages for all that is imported: a fork copies a table of pages, and takes 16 ms in place of 90.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PYTHONMALLOC": "malloc"}
# Neither a thread of Arrow's nor a GPU that torch has looked for would outlive a fork.
FORKABLE = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
# What nanobind and torch do at the end of Python, to no effect here: 27 of a start's 75 ms.
UNDONE = ("cleanup", "dump_compile_times")
# Variables that no library reads while it is imported, or that mean nothing to a single thread. A start in
# which any other differs is refused.
READ_LATE = re.compile(
    r"_|COLUMNS|FORKS|GOMP_SPINCOUNT|HF_TOKEN|LINES|OLDPWD|PATH|PWD|PYTHONIOENCODING|PYTHONPATH|RANK|SHLVL"
    r"|TOKENIZERS_PARALLELISM|WORLD_SIZE"
    r"|(ASR|AWS|DVC|GIT|GROUP|LOCAL|MASTER|PET|PYTEST|ROLE|TORCHELASTIC|TORCH_NCCL)_\w+"
)


def start() -> Path:
    """Start a server, which ends with this process; returns the folder with its `python` and `dvc`."""
    folder = Path(tempfile.mkdtemp(prefix="forks-"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen(100)
        # However this process ends, the pipe ends with it.
        subprocess.Popen(
            [sys.executable, __file__, folder, str(listener.fileno())],
            env=HUGE_PAGES | {name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    client = Path(__file__).with_name("fork_client.py")
    words = [sys.executable, "-I", "-S", client, folder / "socket", sys.executable]
    for name, arguments in (("python", []), ("dvc", ["-m", "dvc"])):
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words + arguments))} "$@"\n')
        command.chmod(0o755)
    return folder


def main() -> None:
    """Import the libraries when the first client comes, and fork for every client until stdin ends."""
    folder, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    del sys.path[0]  # this script's folder
    for name, value in HUGE_PAGES.items():
        if os.environ[name] == value:  # which has been read, and is nobody's own
            del os.environ[name]
    variables = None
    of_client: dict[socket.socket, int] = {}  # whose process may get signals
    running: dict[int, tuple[int, socket.socket]] = {}  # by its pidfd
    while sys.stdin not in (ready := select.select([sys.stdin, listener, *of_client, *running], [], [])[0]):
        for ended in running.keys() & set(ready):
            pid, client = running.pop(ended)
            _, status = os.waitpid(pid, 0)
            of_client.pop(client, None)
            with suppress(ConnectionError):
                client.send(status.to_bytes(4))
            client.close()
            os.close(ended)
        for client in of_client.keys() & set(ready):
            if number := client.recv(1):
                os.kill(of_client[client], ord(number))
            else:  # a client that is gone takes its process with it
                os.kill(of_client.pop(client), signal.SIGKILL)
        if listener in ready:
            client, _ = listener.accept()
            variables = preload() if variables is None else variables
            if pid := begin(client, variables, [listener, *of_client]):
                of_client[client] = pid
                running[os.pidfd_open(pid)] = pid, client
    for pid, _ in running.values():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


def preload() -> dict[str, str]:
    """Import what the stages and commands import, less what is ours, and DVC; do what all of them would do.

    Returns the variables that libraries have set in the environment meanwhile.
    """
    before = dict(os.environ)
    os.environ |= FORKABLE
    undo, register = [], atexit.register
    atexit.register = lambda function, *args, **kw: undo.append(function) or register(function, *args, **kw)
    codes, trees = {}, []
    for file in sorted([*REPOSITORY.glob("asr/**/*.py"), *REPOSITORY.glob("stages/*.py")]):
        with suppress(SyntaxError):  # who imports it says where
            text = file.read_bytes()
            trees.append(ast.parse(text))
            codes[text] = compile(trees[-1], "", "exec", dont_inherit=True)
    compile_no_more(codes)
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            statement = ast.unparse(node)
            if not re.match(r"(from|import) (asr|stages)\b", statement):
                with suppress(ImportError):  # of an extra that is not installed
                    exec(statement, {})
    for name in DVC:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(getattr(package, "__path__", []), f"{name}."):
            importlib.import_module(module.name)
    # A table of all models' weights, which every process that loads one makes: a third of a second.
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("whisper")
    for name in FORKABLE:
        del os.environ[name]
    # Neither what is collected in a forked process nor what it would undo at its end may copy these pages.
    gc.freeze()
    for finalizer in weakref.finalize._registry:
        finalizer.atexit = False
    atexit.register = register
    for function in undo:
        if getattr(function, "__name__", "") in UNDONE:
            atexit.unregister(function)
    importlib.invalidate_caches()
    return dict(os.environ.items() - before.items())


def compile_no_more(known: dict[bytes, types.CodeType]) -> None:
    """Have forked processes take the code of these texts from here: ours leaves no bytecode on disk."""
    compile_anew = SourceFileLoader.source_to_code

    def source_to_code(loader: SourceFileLoader, data: bytes, path: str, **options: object) -> types.CodeType:
        code = known.get(bytes(data))
        if code is None:
            return compile_anew(loader, data, path, **options)
        _imp._fix_co_filename(code, str(path))  # as for bytecode from elsewhere
        return code

    SourceFileLoader.source_to_code = source_to_code


def begin(client: socket.socket, variables: dict[str, str], others: list[socket.socket]) -> int:
    """Fork the process that a client asks for, which closes `others`; returns its id, 0 if there is none."""
    pid, streams = 0, []
    with suppress(ConnectionError, EOFError):  # a client that is gone
        size, streams, _, _ = socket.recv_fds(client, 4, 3)
        request = client.recv(int.from_bytes(size), socket.MSG_WAITALL)
        argv, folder, environment = marshal.loads(request)
        environment = variables | environment
        if not is_safe(argv, folder, environment):
            client.send(b"refused")
        elif (pid := os.fork()) == 0:
            for other in (client, *others):
                other.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            end(become, argv, folder, environment)
    for stream in streams:
        os.close(stream)
    if not pid:
        client.close()
    return pid


def is_safe(argv: list[str], folder: str, environment: dict[str, str]) -> bool:
    """Tell whether a forked process does the same as a true Python."""
    changed = {name for name, _ in environment.items() ^ os.environ.items()}
    injected = (Path(path, "sitecustomize.py").exists() for path in python_path(folder, environment))
    return (
        re.match(r"(-u )?(-[cm] .|[^-])", " ".join(argv), re.DOTALL)
        and all(READ_LATE.fullmatch(name) for name in changed)
        and not any(injected)
    )


def python_path(folder: str, environment: dict[str, str]) -> list[str]:
    """List the folders of PYTHONPATH, as they are in sys.path."""
    paths = environment.get("PYTHONPATH", "")
    return [os.path.abspath(os.path.join(folder, path)) for path in paths.split(os.pathsep)] if paths else []


def become(argv: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run a command line in this process."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have had ignored
    sys.modules["numpy"].random.seed()  # or all processes had one state
    sys.executable = shutil.which("python")
    unbuffered = argv[0] == "-u"
    open_streams(1 if unbuffered else -1)
    kind, *rest = argv[unbuffered:]
    sys.path[:0] = python_path(folder, environment)
    if kind == "-m":
        sys.path.insert(0, folder)
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), module.__dict__)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(kind)))
        sys.argv = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")


def open_streams(buffering: int) -> None:
    """Open the standard streams anew: the old ones have the server's encoding, and whether its can seek."""
    asked = os.environ.get("PYTHONIOENCODING")
    for number, (name, mode, size) in enumerate(
        [("stdin", "r", -1), ("stdout", "w", buffering), ("stderr", "w", 1)]
    ):
        old = getattr(sys, name)
        errors = "strict" if asked and name != "stderr" else old.errors
        stream = open(number, mode, size, asked or old.encoding, errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def end(work: Callable, *args: object) -> NoReturn:
    """Work, and end as Python does, but take nothing down: that alone would copy every page of the server."""
    code = 0
    try:
        work(*args)
    except SystemExit as leave:
        code = leave.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1 if isinstance(error, Exception) else -signal.SIGINT
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads it any more
            code = code or 120  # as Python's own
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code or 0)


if __name__ == "__main__":
    main()
