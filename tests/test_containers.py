import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from asr.sources import containers
from asr.sources.containers import members
from tests.corpora import write_archive

FILES = [("b/one", b"1" * 3000), ("a/two", b""), ("three", b"3")]


def read(path):
    return [(str(member.name), member.size, member.read()) for member in members(path)]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_files_come_in_their_order_whatever_the_container_is_called(tmp_path, name):
    path = write_archive(tmp_path / name, FILES).rename(tmp_path / "no-suffix")
    assert read(path) == [(name, len(data), data) for name, data in FILES]


@pytest.mark.parametrize("mode", ["w:bz2", "w:xz"])
def test_other_compressions(tmp_path, mode):
    path = tmp_path / "x"
    with tarfile.open(path, mode) as tar:
        info = tarfile.TarInfo("one")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert read(path) == [("one", 3, b"abc")]


def test_a_zip_s_links_and_climbing_names_are_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        for name in ("../up", "/abs", "a/../../up", "folder/", "good"):
            archive.writestr(name, "x" * (name[-1] != "/"))
    assert [name for name, *_ in read(tmp_path / "x.zip")] == ["good"]


def test_a_zip_s_file_without_a_name_is_passed_over(tmp_path):
    path = write_archive(tmp_path / "x.zip", [("x", b"1"), ("y", b"2")])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 28 : at + 32] = b"\0\0\x01\0"  # the name's one letter becomes an extra field
    path.write_bytes(data)
    assert [name for name, *_ in read(path)] == ["y"]


def tar_header(size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo("bomb")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_that_promises_terabytes_is_refused_before_they_come(tmp_path, kind):
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_header(2**42, kind) + bytes(2**16)))
    with pytest.raises(ValueError, match="made to fill a"):
        read(tmp_path / "x.tar.gz")


def test_what_unpacks_out_of_proportion_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "EXPANSION_FROM", 2**20)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_header(0) + bytes(2**24)))
    write_archive(tmp_path / "x.zip", [("zeros", bytes(2**22))])
    for name in ("x.tar.gz", "x.zip"):
        with pytest.raises(ValueError, match="made to fill a disk or a memory"):
            read(tmp_path / name)


def test_an_encrypted_zip_says_so(tmp_path):
    path = write_archive(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="'b/one' is encrypted"):
        read(path)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
def test_a_damaged_file_inside_names_the_archive(tmp_path, name):
    path = write_archive(tmp_path / name, [("one", bytes(range(256)) * 20)])
    data = bytearray(path.read_bytes())
    data[60:80] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name} is no .tar, .tar.gz or .zip, or is cut off or damaged"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"\x1f\x8b", b"x" * 2000, b"BZh", b"\xfd7zXZ\0"])
def test_what_is_no_archive_says_so(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="x is no .tar, .tar.gz or .zip, or is cut off"):
        read(tmp_path / "x")
