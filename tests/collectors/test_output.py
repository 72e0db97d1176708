"""Lines leave whole, whether the reader is fast, slow, asleep or gone."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from kernelsight.collectors.output import LineWriter, ReaderGoneError

LINES = b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * (n * 37 % 900)) for n in range(2000))
LONG = b'{"text":"' + b"y" * 300_000 + b'"}\n'


def read_all(fd: int, into: list[bytes], pause: threading.Event | None = None) -> None:
    if pause:
        pause.wait(30)
    while chunk := os.read(fd, 777):
        into.append(chunk)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("make", [os.pipe, lambda: tuple(end.detach() for end in socket.socketpair()[::-1])])
def test_a_slow_reader_gets_every_byte(make, blocking):
    reader, writer = make()
    os.set_blocking(writer, blocking)
    got: list[bytes] = []
    thread = threading.Thread(target=read_all, args=(reader, got))
    thread.start()
    assert LineWriter(writer, threading.Event()).write(LINES + LONG + LINES) == 0
    os.close(writer)
    thread.join()
    os.close(reader)
    assert b"".join(got) == LINES + LONG + LINES


def test_a_reader_asleep_does_not_hold_up_the_end_and_gets_whole_lines():
    reader, writer = os.pipe()
    stop = threading.Event()
    output = LineWriter(writer, stop)
    unread: list[int] = []
    thread = threading.Thread(target=lambda: unread.append(output.write(LINES)))
    thread.start()
    while not os_bytes_waiting(reader):
        pass
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    os.close(writer)
    got: list[bytes] = []
    read_all(reader, got)
    os.close(reader)
    text = b"".join(got)
    assert text.endswith(b"\n")
    assert LINES.startswith(text)
    assert unread == [len(LINES) - len(text)]


def os_bytes_waiting(fd: int) -> bool:
    import select

    return bool(select.select([fd], [], [], 30)[0])


def test_two_writers_on_one_pipe_do_not_mix_their_lines():
    reader, writer = os.pipe()
    got: list[bytes] = []
    gate = threading.Event()
    thread = threading.Thread(target=read_all, args=(reader, got, gate))
    thread.start()
    ours = [b'{"who":%d,"text":"%s"}\n' % (who, b"z" * 700) for who in range(2)]
    threads = [
        threading.Thread(target=LineWriter(writer, threading.Event()).write, args=(line * 500,)) for line in ours
    ]
    for one in threads:
        one.start()
    gate.set()
    for one in threads:
        one.join(30)
    os.close(writer)
    thread.join(30)
    os.close(reader)
    lines = b"".join(got).splitlines(keepends=True)
    assert sorted(lines) == sorted(ours * 500)


def test_a_reader_that_has_gone_is_said():
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(ReaderGoneError):
        LineWriter(writer, threading.Event()).write(b"{}\n")
    os.close(writer)
