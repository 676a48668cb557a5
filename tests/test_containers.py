import gzip
import io
import stat
import tarfile
import tracemalloc
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


def tar_header(size=0, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo("x")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(kind=tarfile.XHDTYPE, **records):
    """Make an extended header; a record is its own length in decimal digits, a key and a value."""
    data = b""
    for key, value in records.items():
        rest = f" {key.replace('_', '.')}={value}\n".encode()
        data += next(b"%d" % n + rest for n in range(10_000) if n == len(b"%d" % n + rest))
    return tar_header(len(data), kind) + data.ljust(-(-len(data) // 512) * 512, b"\0")


KEYS = {f"key{number}": "" for number in range(1000)}
HOSTILE = {
    "terabytes": (tar_header(2**42), "unpack to 4398046511616 or more"),
    "terabytes of a name": (tar_header(2**42, tarfile.GNUTYPE_LONGNAME), "headers of one file have"),
    "terabytes of records": (tar_header(2**42, tarfile.XHDTYPE), "headers of one file have"),
    "negative": (tar_header(-1024), "has no size"),
    "negative in a record": (pax(size="-1024") + tar_header(), "has no size"),
    "negative name": (tar_header(-512, tarfile.GNUTYPE_LONGNAME), "headers of one file have"),
    "sparse": (pax(GNU_sparse_map="0,0", GNU_sparse_size="9" * 12) + tar_header(), "is a sparse file"),
    "records without end": (pax(**KEYS) * 100, "headers of one file have"),
    "records for all files without end": (pax(tarfile.XGLTYPE, **KEYS) * 100, "headers of one file have"),
    "nested": (pax(a="b") * 2000, "headers of one file have"),
    "letters for a number": (pax(GNU_sparse_map="a,b") + tar_header(), "invalid literal for int"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_tar_that_lies_is_refused_and_holds_little(tmp_path, case):
    data, message = HOSTILE[case]
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(data + bytes(2**16)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"x.tar.gz cannot be read: .*{message}"):
            read(tmp_path / "x.tar.gz")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_what_was_unpacked_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "EXPANSION_FROM", 2**20)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_header(0) + bytes(2**24)))
    write_archive(tmp_path / "x.zip", [(f"zeros{i}", bytes(2**19)) for i in range(4)])
    for name in ("x.tar.gz", "x.zip"):
        with pytest.raises(ValueError, match="bytes unpack to .* or more, which no release does"):
            read(tmp_path / name)


def test_of_a_zip_no_more_is_unpacked_than_its_directory_says(tmp_path):
    path = write_archive(tmp_path / "x.zip", [("zeros", bytes(2**24))])
    data = path.read_bytes()
    path.write_bytes(data.replace((2**24).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(ValueError, match="x.zip cannot be read: Bad CRC"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_cannot_be_unpacked_in_pieces_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("zeros", bytes(2**20))
    with pytest.raises(ValueError, match="'zeros' is not packed with deflate"):
        read(tmp_path / "x.zip")


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
    with pytest.raises(ValueError, match=f"{name} cannot be read: .*get it anew"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"\x1f\x8b", b"x" * 2000, b"BZh", b"\xfd7zXZ\0"])
def test_what_is_no_archive_says_so(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="x cannot be read: .*get it anew"):
        read(tmp_path / "x")
