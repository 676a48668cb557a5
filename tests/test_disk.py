import errno

import pytest
import torch
from safetensors import SafetensorError

from asr.runtime import disk


def test_torch_on_a_full_disk_is_recognised():
    for what in ({"step": 1}, {"weights": torch.zeros(1_000_000)}):
        with pytest.raises(RuntimeError) as caught:
            torch.save(what, "/dev/full")
        assert disk.is_full(caught.value)


def test_python_on_a_full_disk_is_recognised():
    with pytest.raises(OSError) as caught, open("/dev/full", "w") as file:
        file.write("all of it")
    assert disk.is_full(caught.value)


# What safetensors said on a full tmpfs. It replaces the file it is given, so /dev/full is not for it.
SAFETENSORS = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def raised_from(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (SAFETENSORS, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (raised_from(KeyError("saving"), OSError(errno.ENOSPC, "No space left on device")), True),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (RuntimeError("CUDA out of memory"), False),
        (ValueError("unexpected position"), False),
    ],
    ids=repr,
)
def test_errors_of_a_full_disk(error, full):
    assert disk.is_full(error) is full


def test_the_explanation_says_where_how_much_is_free_and_how_much_is_needed(tmp_path):
    text = disk.explain_full(tmp_path, 2_900_000_000)
    assert str(tmp_path) in text and "2.9 GB are needed" in text and "free on the disk" in text
    assert "needed" not in disk.explain_full(tmp_path)
