"""The kernel's texts are understood in one place, and what is none of them is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.linux.cgroups import Membership, parse_membership
from kernelsight.linux.mounts import parse_mount, parse_mounts
from kernelsight.linux.sockets import ESTABLISHED, LISTEN, STATES, address, check_header, hexadecimal, parse_socket

LINE = (
    b"   1: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000  1000        0 7412"
    b" 1 0000000000000000 100 0 0 10 0"
)


def test_a_mount_has_its_names_without_escapes_and_its_options_by_name():
    mount = parse_mount(b"34 31 0:31 / /mnt/a\\040b rw,nosuid shared:9 master:2 - proc none\\134x rw,hidepid=2,gid=5")
    assert (mount.id, mount.parent, mount.device_number) == (34, 31, b"0:31")
    assert (mount.root, mount.point, mount.fs_type, mount.device) == (b"/", b"/mnt/a b", "proc", b"none\\x")
    assert mount.super_options == {b"rw": b"", b"hidepid": b"2", b"gid": b"5"}


def test_a_mount_without_options_is_one():
    assert parse_mount(b"34 31 0:31 / / rw - ext4 /dev/vda").super_options is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"damaged line",
        b"34 31 0:31 / /mnt rw - ext4",
        b"34 31 0:31 / mnt rw - ext4 /dev/vda rw",
        b"34 31 031 / /mnt rw - ext4 /dev/vda rw",
        b"x 31 0:31 / /mnt rw - ext4 /dev/vda rw",
        b"9" * 400 + b" 31 0:31 / /mnt rw - ext4 /dev/vda rw",
    ],
)
def test_what_is_no_mount_is_refused_and_left_out(line):
    with pytest.raises(ValueError, match=r"mount|unpack"):
        parse_mount(line)
    assert [mount.point for mount in parse_mounts([line, b"1 1 8:1 / / rw - ext4 /dev/vda rw"])] == [b"/"]


@pytest.mark.parametrize(
    ("line", "membership"),
    [
        (b"0::/a.slice/b (deleted)", Membership(0, (), b"/a.slice/b")),
        (b"4:cpu,cpuacct:/x:y", Membership(4, (b"cpu", b"cpuacct"), b"/x:y")),
        (b"1:name=systemd:/", Membership(1, (), b"/")),
    ],
)
def test_a_membership_tells_hierarchy_controllers_and_group(line, membership):
    assert parse_membership(line) == membership


@pytest.mark.parametrize("line", [b"", b"0:/", b"0::a", b"x::/", b"0:cpu"])
def test_what_is_no_membership_is_refused(line):
    with pytest.raises(ValueError, match="no number, controllers and path"):
        parse_membership(line)


def test_a_socket_is_read_with_its_address_state_and_queues():
    found = parse_socket(LINE)
    assert (address(found.local), found.state, found.receive_queue, found.send_queue, found.inode) == (
        ("127.0.0.1", 8080),
        LISTEN,
        2,
        0,
        b"7412",
    )
    assert (STATES[LISTEN], STATES[ESTABLISHED]) == ("listen", "established")
    assert address(b"0000000000000000FFFF00000100007F:0016") == ("::ffff:127.0.0.1", 22)


def test_another_table_is_told_by_its_header():
    check_header(b"  sl  local_address rem_address   st")
    with pytest.raises(ValueError, match="not the header"):
        check_header(LINE)


@pytest.mark.parametrize("digits", [b"", b"-1", b"+1", b"1_0", b" 1", b"0x1", b"g", b"8000000000000000", b"1" * 17])
def test_what_is_no_hexadecimal_number_of_63_bits_is_refused(digits):
    with pytest.raises(ValueError, match=r"hexadecimal|too large|invalid literal"):
        hexadecimal(digits)


@given(st.integers(0, 2**63 - 1))
def test_hexadecimal_numbers_are_read(value):
    assert hexadecimal(f"{value:X}".encode()) == hexadecimal(f"{value:08x}".encode()) == value


@given(st.binary(max_size=300), st.sampled_from([parse_mount, parse_membership, parse_socket, address]))
def test_any_bytes_are_understood_or_refused(text, parse):
    try:
        parse(text)
    except ValueError:
        return
    assert b"/" in text or b":" in text
