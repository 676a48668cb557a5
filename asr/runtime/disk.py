"""A disk that is full, for which torch and safetensors raise errors of their own, or may not be written."""

import errno
import os
from pathlib import Path

NO_ROOM = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Texts of torch.save when a write fails. They do not tell why it failed.
TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed writing", "unexpected pos", "iostream error")


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, is that of a full disk or quota."""
    while error:
        text = str(error)
        if any(words in text for words in NO_ROOM):
            return True
        if isinstance(error, RuntimeError) and any(words in text for words in TORCH_CANNOT_WRITE):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def is_forbidden(error: BaseException) -> bool:
    """Tell whether an error is that of a file or folder that may not be read, written or changed."""
    return isinstance(error, OSError) and error.errno in FORBIDDEN


def explain_full(folder: Path, needed: int | None = None) -> str:
    """Say that a folder's disk is full, how much is free and, where known, how many bytes are needed."""
    need = f", and about {_size(needed)} are needed" if needed else ""
    disk = os.statvfs(folder)
    return (
        f"no room to write in {folder.resolve()}: the disk, or your quota, is full"
        f" ({_size(disk.f_bavail * disk.f_frsize)} free on the disk{need})"
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
