"""What others could lay in our way is never followed, waited for or believed."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from kernelsight.trusted_paths import (
    UntrustedPathError,
    as_owner_of,
    open_directory,
    open_file,
    read_text,
    replace_text,
    require_trusted_directory,
)

OTHER = 65534
root = pytest.mark.root
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make what belongs to others")


@pytest.fixture
def place():
    """A directory of ours below /tmp, as a person may choose it."""
    folder = Path(tempfile.mkdtemp(prefix="kernelsight-trust-"))
    yield folder
    shutil.rmtree(folder)


def opened(path, flags=os.O_RDONLY):
    directory = open_directory(path.parent)
    try:
        return open_file(directory, path.name, path, flags)
    finally:
        os.close(directory)


def test_an_ordinary_file_of_ours_is_opened_and_made(place):
    os.close(opened(place / "new", os.O_WRONLY | os.O_CREAT))
    assert (place / "new").stat().st_mode & 0o777 == 0o600
    (place / "new").write_text("text")
    assert read_text(place / "new") == "text"


@pytest.mark.parametrize(
    ("lay", "says"),
    [
        (lambda path: path.symlink_to("/etc/hostname"), "is a link"),
        (lambda path: path.symlink_to(path.with_name("nowhere")), "is a link"),
        (os.mkfifo, "no ordinary file"),
        (Path.mkdir, "no ordinary file"),
        (lambda path: (path.with_name("a").touch(), os.link(path.with_name("a"), path)), "2 names"),
        (lambda path: (path.touch(), path.chmod(0o666)), "others may write it"),
    ],
    ids=["link", "dangling link", "FIFO", "directory", "second name", "world-writable"],
)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_TRUNC])
def test_what_is_no_file_of_ours_is_not_opened(place, lay, says, flags):
    lay(place / "file")
    with pytest.raises((UntrustedPathError, IsADirectoryError), match=f"{says}|Is a directory"):
        opened(place / "file", flags)


def test_a_directory_that_others_may_write_is_refused_with_the_command_that_mends_it(place):
    place.chmod(0o777)
    with pytest.raises(UntrustedPathError, match=f"chmod go-w {place}"):
        open_directory(place)
    (place / "below").mkdir()
    with pytest.raises(UntrustedPathError, match=f"chmod go-w {place}"):
        open_directory(place / "below")
    place.chmod(0o1777)  # as /tmp: others can add, and not exchange
    os.close(open_directory(place / "below"))


@root
@only_root
def test_what_another_user_owns_is_refused_and_so_is_what_lies_below(place):
    theirs = place / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("")
    os.chown(theirs, OTHER, OTHER)
    with pytest.raises(UntrustedPathError, match="belongs to user"):
        read_text(theirs / "file")
    (place / "file").write_text("theirs")
    os.chown(place / "file", OTHER, OTHER)
    with pytest.raises(UntrustedPathError, match="belongs to user"):
        read_text(place / "file")
    ours = place / "ours"
    ours.mkdir()
    (ours / "file").write_text("ours")
    (place / "link").symlink_to(ours)
    assert read_text(place / "link" / "file") == "ours"
    os.chown(place / "link", OTHER, OTHER, follow_symlinks=False)
    with pytest.raises(UntrustedPathError, match="is a link, laid by user"):
        read_text(place / "link" / "file")


@root
@only_root
def test_a_group_of_others_may_not_write_and_a_private_one_may(place):
    place.chmod(0o775)
    require_trusted_directory(place)  # root's own group
    os.chown(place, 0, OTHER)
    with pytest.raises(UntrustedPathError, match="others may write it"):
        require_trusted_directory(place)


@root
@only_root
def test_root_works_in_others_directories_as_their_owner_and_is_root_again(place):
    os.chown(place, OTHER, OTHER)
    secret = Path(tempfile.mkdtemp(prefix="kernelsight-secret-"))
    try:
        (secret / "file").write_text("root's")
        (place / "link").symlink_to(secret / "file")
        with as_owner_of(place):
            assert os.geteuid() == OTHER
            (place / "made").write_text("")
            with pytest.raises(PermissionError):
                (place / "link").read_text()
        assert (os.geteuid(), os.getegid()) == (0, 0)
        assert (place / "made").stat().st_uid == OTHER
    finally:
        shutil.rmtree(secret)


@root
@only_root
def test_a_file_that_is_exchanged_all_the_time_is_never_believed(place):
    """Of two files under one name, ours and a stranger's, at most ours is read."""
    ours, theirs, name = place / "ours", place / "theirs", place / "policy.toml"
    stop = threading.Event()

    def exchange():
        while not stop.is_set():
            for content, owner in (("ours", 0), ("theirs", OTHER)):
                path = ours if owner == 0 else theirs
                path.write_text(content)
                os.chown(path, owner, owner)
                with suppress(FileNotFoundError):
                    path.rename(name)

    thread = threading.Thread(target=exchange)
    thread.start()
    believed = set()
    try:
        for _ in range(3000):
            with suppress(UntrustedPathError, FileNotFoundError):
                believed.add(read_text(name))
    finally:
        stop.set()
        thread.join()
    assert believed == {"ours"}


@root
@only_root
def test_of_two_threads_none_is_root_in_the_directory_of_another_user(place):
    os.chown(place, OTHER, OTHER)
    groups, seen, start = os.getgroups(), set(), threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(200):
            with as_owner_of(place):
                seen.add((os.geteuid(), os.getegid(), *os.getgroups()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {(OTHER, OTHER, OTHER)}
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)


@root
@only_root
def test_a_directory_of_root_below_another_users_is_not_roots_own(place):
    """Its name can lead to another directory of root's by now."""
    theirs = place / "theirs"
    (theirs / "ours").mkdir(parents=True)
    os.chown(theirs, OTHER, OTHER)
    (place / "link").symlink_to(theirs / "way")
    (theirs / "way").symlink_to(place)
    os.chown(theirs / "way", OTHER, OTHER, follow_symlinks=False)
    for path in (theirs / "ours", place / "link"):
        with as_owner_of(path):
            assert os.geteuid() == OTHER
        with pytest.raises(UntrustedPathError, match="user"):
            require_trusted_directory(path)


def test_links_that_lead_round_end(place):
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        require_trusted_directory(place / "a")


def test_a_file_is_replaced_whole_and_a_link_neither_followed_nor_replaced(place):
    file, target = place / "page.html", place / "target"
    for text in ("one", "two"):
        replace_text(file, text)
        assert file.read_text() == text
    target.write_text("as it was")
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(UntrustedPathError, match="is a link"):
        replace_text(file, "three")
    assert target.read_text() == "as it was"
    assert {path.name for path in place.iterdir()} == {"page.html", "target"}
