"""What the committed objects say of their structures; needs no root, because nothing is loaded."""

from contextlib import contextmanager

from kernelsight.collectors.bpf.btf import of_image
from kernelsight.collectors.bpf.objects import image


@contextmanager
def types_of(name):
    with of_image(image(name), name) as types:
        yield types


def filler(columns, name):
    """Makes events as the collector does, of bytes that a test packs by the filler's layouts."""
    with types_of(name) as types:
        return columns.of(types)
