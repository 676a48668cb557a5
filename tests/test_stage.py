import logging
import shlex
import subprocess
import sys

import pytest

from asr.audio import decode
from asr.stage import report_errors
from tests.recipes import REPOSITORY


def test_a_missing_file_ends_with_its_message(tmp_path):
    with pytest.raises(SystemExit) as end, report_errors("download"):
        (tmp_path / "missing.tsv").read_text()
    assert str(end.value).startswith("download: ") and "missing.tsv" in str(end.value)


def test_a_value_error_of_ours_ends_with_its_message():
    with pytest.raises(SystemExit) as end, report_errors("featurize"):
        decode(b"no audio")
    assert str(end.value).startswith("featurize: not decodable")


def test_a_value_error_of_a_library_keeps_its_traceback():
    with pytest.raises(ValueError, match="No closing quotation"), report_errors("train"):
        shlex.split("'open")


def test_other_errors_keep_their_traceback():
    with pytest.raises(KeyError), report_errors("train"):
        raise KeyError("step")


def test_the_script_exits_with_one_and_logs_its_own_progress_only():
    script = (
        "import logging; from asr.stage import report_errors\n"
        "with report_errors('filter'):\n"
        "    logging.getLogger('filter').info('half done'); logging.getLogger('httpx').info('GET secret')\n"
        "    raise PermissionError('data/filtered is read-only')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "filter: half done\nfilter: data/filtered is read-only\n"


@pytest.fixture(autouse=True)
def _levels():
    yield
    for name in ("download", "featurize", "train", "asr"):
        logging.getLogger(name).setLevel(logging.NOTSET)
