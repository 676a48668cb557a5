"""A disk that is full, for which torch and safetensors raise errors of their own, or not ours to write."""

import errno
import os
import shutil
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Of torch.save when a write fails; nothing in it tells why.
TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed writing", "unexpected pos", "iostream error")


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, is that of a full disk or quota."""
    while error:
        text = str(error)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        if any(os.strerror(code) in text for code in NO_ROOM):
            return True
        if isinstance(error, RuntimeError) and any(words in text for words in TORCH_CANNOT_WRITE):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def is_forbidden(error: BaseException) -> bool:
    """Tell whether an error is that of a file or folder that may not be written, or changed."""
    return isinstance(error, OSError) and error.errno in FORBIDDEN


def explain_full(folder: Path, needed: int | None = None) -> str:
    """Say that there is no room in a folder, how much is left and, where known, how many bytes are needed."""
    need = f", and about {_size(needed)} are needed" if needed else ""
    return (
        f"no room to write in {folder.resolve()}: the disk, or your quota, is full"
        f" ({_size(shutil.disk_usage(folder).free)} free on the disk{need})"
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
