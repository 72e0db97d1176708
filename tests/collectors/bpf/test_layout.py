"""Structures as an object describes them itself, against what ctypes makes of the same declarations."""

import ctypes as c

import msgspec
import pytest

from kernelsight.collectors.bpf.btf import of_image, of_kernel
from kernelsight.collectors.bpf.layout import Layout, Member, Records


class Inner(c.Structure):
    _fields_ = (("first", c.c_uint16), ("second", c.c_uint64))


class Everything(c.Structure):
    _fields_ = (
        ("small", c.c_uint8),
        ("negative", c.c_int64),
        ("padding", c.c_uint16),
        ("inner", Inner),
        ("low", c.c_uint32),
        ("high", c.c_uint32),
        ("rest_of_the_union", c.c_uint64),
        ("text", c.c_char * 5),
        ("bytes", c.c_uint8 * 3),
        ("flag", c.c_bool),
        ("number", c.c_int32),
        ("several", Inner * 2),
        ("unsigned_one", c.c_uint64),
        ("unused", c.c_uint32),
    )


@pytest.fixture(scope="module")
def image(compile_bpf):
    return compile_bpf("layouts")


@pytest.fixture(scope="module")
def layout(image):
    with of_image(image, "layouts") as types:
        return types.layout("everything")


def test_members_lie_where_c_puts_them_and_padding_is_none(layout):
    ours = {member.name: (member.offset, member.size) for member in layout.members}
    theirs = {
        name: (getattr(Everything, name).offset, c.sizeof(kind))
        for name, kind in Everything._fields_
        if name not in {"padding", "inner", "rest_of_the_union", "unused"}
    }
    at = Everything.inner.offset
    nested = {"inner_first": (at, 2), "inner_second": (at + Inner.second.offset, 8)}
    assert ours == theirs | nested
    assert layout.size == c.sizeof(Everything)


def test_every_member_is_read_as_what_it_is(layout):
    several = (Inner * 2)(Inner(1, 2), Inner(3, 4))
    made = Everything(
        200, -5, 77, Inner(9, 2**64 - 1), 8, 2**32 - 1, 0, b"ab", (1, 2, 3), True, -7, several, 2**64 - 2, 77
    )
    row = dict(zip(layout.names, layout.struct().unpack(bytes(made)), strict=True))
    assert row == {
        "small": 200, "negative": -5, "inner_first": 9, "inner_second": 2**64 - 1, "low": 8, "high": 2**32 - 1,
        "text": b"ab\0\0\0", "bytes": b"\1\2\3", "flag": True, "number": -7, "several": bytes(several),
        "unsigned_one": 2**64 - 2,
    }  # fmt: skip
    assert [member.name for member in layout.members if member.is_text] == ["text"]
    (signed,) = layout.struct({"unsigned_one"}, signed={"unsigned_one"}).unpack(bytes(made))
    assert signed == -2


def test_what_is_packed_is_read_again_and_all_else_is_nothing(layout):
    packed = layout.pack(negative=-1, text=b"x", flag=True)
    theirs = Everything.from_buffer_copy(packed)
    assert (theirs.negative, theirs.text, theirs.flag, theirs.number, bytes(theirs.several)) == (
        -1, b"x", True, 0, bytes(32)
    )  # fmt: skip


def test_a_nested_structure_can_be_read_alone(layout):
    packed = layout.pack(inner_first=3, inner_second=4, small=1)
    assert layout.struct(layout.nested("inner")).unpack(packed) == (3, 4)


def test_one_member_of_every_record_can_be_read_alone(layout):
    packed = b"".join(layout.pack(negative=number, number=-number) for number in (5, -6, 7))
    assert list(layout.column("negative", packed)) == [5, -6, 7]
    assert list(layout.column("number", packed)) == [-5, 6, -7]


class Some(msgspec.Struct):
    number: int
    small: int


def test_records_have_the_members_that_are_named_in_any_order(layout):
    records = Records(layout, Some)
    first, second = layout.pack(small=1, number=-1, negative=4), layout.pack(small=2, number=-2)
    expected = [Some(-1, 1), Some(-2, 2)]
    assert list(records.each(first + second)) == list(records.listed([first, second])) == expected
    assert records.at(b"abc" + second + b"more", 3) == Some(-2, 2)


class Lacking(msgspec.Struct):
    number: int
    colour: int


def test_a_member_that_a_collector_reads_and_the_object_lacks_is_named(layout):
    with pytest.raises(TypeError, match=r"struct everything has no member colour, which Lacking reads; it has small, "):
        Records(layout, Lacking)
    with pytest.raises(TypeError, match="no member colour"):
        layout["colour"]
    with pytest.raises(TypeError, match="no member colour"):
        layout.pack(colour=1)
    with pytest.raises(TypeError, match="no member outer"):
        layout.nested("outer")


def test_a_structure_that_an_object_lacks_or_that_cannot_be_read_is_named(image):
    with of_image(image, "layouts") as types:
        with pytest.raises(TypeError, match="layouts does not describe a struct nothing"):
            types.layout("nothing")
        with pytest.raises(TypeError, match="struct packed_bits of layouts: three is a bit-field"):
            types.layout("packed_bits")


def test_the_kernel_describes_its_own():
    with of_kernel() as types:
        if not types.members("task_struct"):
            pytest.skip("this kernel has no BTF")
        assert {"pid", "tgid"} <= types.members("task_struct")
        assert types.members("no_such_structure") == frozenset()
        assert types.enumeration("bpf_map_type")[1] == "BPF_MAP_TYPE_HASH"
        assert types.enumeration("no_such_enumeration") == {}


def test_a_record_of_one_member_is_a_record():
    alone = Records(Layout("alone", 8, (Member("number", 4, 4, "i"),)), msgspec.defstruct("Alone", [("number", int)]))
    assert [record.number for record in alone.each(bytes(4) + (5).to_bytes(4, "little"))] == [5]
