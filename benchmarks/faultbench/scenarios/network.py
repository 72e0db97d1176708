"""Networks: packets that are lost, wires that are full, and CPUs that only carry packets."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.networks import OURS, drop_some, namespace, shape, wire
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

SINK = """import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
def swallow(connection):
    while connection.recv(1 << 18):
        pass
while True:
    threading.Thread(target=swallow, args=(listener.accept()[0],), daemon=True).start()
"""
STREAM = """import socket, sys, time
block, pause = bytes(int(sys.argv[3])), float(sys.argv[4])
time.sleep(0.5)
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    connection.sendall(block)
    time.sleep(pause)
"""
STREAM_IN_PERL = """use IO::Socket::INET; use Time::HiRes 'sleep';
my ($where, $port, $size, $pause) = @ARGV;
sleep 0.5;
my $to = IO::Socket::INET->new(PeerAddr => $where, PeerPort => $port, Proto => 'tcp') or die;
while (1) { print $to 'x' x $size; $to->flush; sleep $pause; }
"""
READ_SLOWLY = """import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[2]))
s.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    s.recv(2048)
    time.sleep(float(sys.argv[3]))
"""
DATAGRAMS = """import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
data, pause = bytes(int(sys.argv[3])), float(sys.argv[4])
while True:
    try:
        s.send(data)
    except OSError:
        pass
    time.sleep(pause)
"""


@scenario("rule_drops_some", needs=("nft", "ip", "nsenter"), tags=("red_herring",))
def rule_drops_some(stage: Stage) -> Iterator[Truth]:
    """A firewall rule drops a few of the packets to one neighbour; a far larger transfer over loopback flows well."""
    here, there = wire(stage, OURS, namespace(stage))
    ports = free_port(), free_port()
    stage.python(SINK, "127.0.0.1", ports[0])
    stage.python(STREAM, "127.0.0.1", ports[0], 1 << 18, 0.004)
    stage.python(SINK, there.address, ports[1], through=there.inside)
    stage.python(STREAM, there.address, ports[1], stage.chance.randint(8, 64) << 10, 0.02)
    yield Truth()
    table = drop_some(stage, OURS, "output", f"oifname {here.interface}", stage.chance.randint(20, 80))
    where = Culprit((here.interface, there.interface, there.address), (here.interface, there.interface, table))
    yield Truth("packet_loss", culprits=(where,))


@scenario("neighbour_drops_some", needs=("nft", "ip", "nsenter", "fio"))
def neighbour_drops_some(stage: Stage) -> Iterator[Truth]:
    """The other end drops some of what reaches it: nothing here says so but what is sent again."""
    here, there = wire(stage, OURS, namespace(stage))
    port = free_port()
    rate = stage.chance.randint(1, 6)
    # With --thread, because fio's processes leave their session.
    common = ("--name=net", "--ioengine=net", f"--port={port}", "--protocol=tcp", "--bs=16k", "--size=4g", "--thread")
    stage.start(["fio", *common, "--listen", "--rw=read"], through=there.inside)
    yield Truth()
    drop_some(stage, there.namespace, "input", f"iifname {there.interface}", stage.chance.randint(20, 60))
    stage.start(["fio", *common, f"--hostname={there.address}", "--rw=write", f"--rate={rate}m"])
    where = Culprit((here.interface, there.interface, there.address), (here.interface, there.interface))
    yield Truth("packet_loss", culprits=(where,))


@scenario("containers_lose_packets", needs=("nft", "ip", "nsenter", "perl"))
def containers_lose_packets(stage: Stage) -> Iterator[Truth]:
    """Two namespaces, neither of them ours, and a rule between them that drops some packets."""
    left, right = wire(stage, namespace(stage), namespace(stage))
    port = free_port()
    stage.python(SINK, right.address, port, through=right.inside)
    script = stage.folder / "stream.pl"
    script.write_text(STREAM_IN_PERL)
    pause = stage.chance.uniform(0.005, 0.02)
    stage.start(["perl", script, right.address, port, 30_000, pause], through=left.inside)
    yield Truth()
    hook, end = stage.chance.choice((("output", left), ("input", right)))
    word = "oifname" if hook == "output" else "iifname"
    drop_some(stage, end.namespace, hook, f"{word} {end.interface}", stage.chance.randint(20, 80))
    where = Culprit((left.interface, right.interface, right.address), (left.interface, right.interface))
    yield Truth("packet_loss", culprits=(where,))


@scenario("datagrams_dropped_by_a_rule", needs=("nft", "ip", "nsenter"))
def datagrams_dropped_by_a_rule(stage: Stage) -> Iterator[Truth]:
    """A rule drops some of the datagrams that come from a neighbour; nobody sends those again."""
    here, there = wire(stage, OURS, namespace(stage))
    port = free_port()
    stage.python(READ_SLOWLY.replace("127.0.0.1", here.address), port, 1 << 20, 0)
    size, pause = stage.chance.randint(100, 1400), stage.chance.uniform(0.001, 0.005)
    stage.python(DATAGRAMS, here.address, port, size, pause, through=there.inside)
    yield Truth()
    table = drop_some(stage, OURS, "input", f"iifname {here.interface}", stage.chance.randint(50, 200))
    where = Culprit((here.interface, there.interface, there.address), (here.interface, there.interface, table))
    yield Truth("packet_loss", culprits=(where,))


@scenario("reads_datagrams_too_slowly")
def reads_datagrams_too_slowly(stage: Stage) -> Iterator[Truth]:
    """A program reads its datagrams more slowly than they come; its queue overflows."""
    port = free_port()
    reader = stage.python(READ_SLOWLY, port, stage.chance.choice((16, 64)) << 10, stage.chance.uniform(0.01, 0.05))
    yield Truth()
    stage.python(DATAGRAMS, "127.0.0.1", port, stage.chance.randint(100, 1200), stage.chance.uniform(0.001, 0.004))
    yield Truth("packet_loss", culprits=(reader.culprit,))


@scenario("wire_too_narrow", needs=("tc", "ip", "nsenter"))
def wire_too_narrow(stage: Stage) -> Iterator[Truth]:
    """A bulk transfer fills a slow interface, beside a program that wants little of it."""
    here, there = wire(stage, OURS, namespace(stage))
    ports = free_port(), free_port()
    for port in ports:
        stage.python(SINK, there.address, port, through=there.inside)
    rate = stage.chance.randint(4, 40)
    shape(stage, here, "tbf", "rate", f"{rate}mbit", "burst", "32k", "limit", stage.chance.choice((60_000, 300_000)))
    stage.python(STREAM, there.address, ports[0], 400, 0.02)
    yield Truth()
    bulk = stage.python(STREAM, there.address, ports[1], 1 << 16, 0)
    where = bulk.at(here.interface)
    yield Truth("bandwidth_saturation", culprits=(where,))


@scenario("datagrams_fill_a_queue", needs=("tc", "ip", "nsenter"))
def datagrams_fill_a_queue(stage: Stage) -> Iterator[Truth]:
    """Datagrams are sent faster than a class of a shaped interface lets them go."""
    here, there = wire(stage, OURS, namespace(stage))
    shape(stage, here, "handle", "1:", "htb", "default", "1")
    rate = stage.chance.randint(2, 10)
    classify = ("tc", "class", "add", "dev", here.interface, "parent", "1:", "classid", "1:1", "htb")
    stage.run(*classify, "rate", f"{rate}mbit", "burst", "16k", "cburst", "16k")
    stage.run("tc", "qdisc", "add", "dev", here.interface, "parent", "1:1", "pfifo", "limit", 50)
    yield Truth()
    pause = 1200 * 8 / (rate * 1e6) / stage.chance.uniform(1.5, 3)
    sender = stage.python(DATAGRAMS, there.address, 9, 1200, pause)
    where = sender.at(here.interface)
    yield Truth("bandwidth_saturation", culprits=(where,))


@scenario("one_wire_loses_another_is_full", needs=("nft", "tc", "ip", "nsenter"), tags=("two_at_once",))
def one_wire_loses_another_is_full(stage: Stage) -> Iterator[Truth]:
    """A neighbour drops some of what it gets, while a bulk transfer to another neighbour fills its interface."""
    lossy, full = (wire(stage, OURS, namespace(stage)) for _ in range(2))
    ports = free_port(), free_port()
    for (_, there), port in zip((lossy, full), ports, strict=True):
        stage.python(SINK, there.address, port, through=there.inside)
    stage.python(STREAM, lossy[1].address, ports[0], 30_000, 0.01)
    shape(stage, full[0], "tbf", "rate", f"{stage.chance.randint(5, 30)}mbit", "burst", "32k", "limit", 200_000)
    yield Truth()
    drop_some(stage, lossy[1].namespace, "input", f"iifname {lossy[1].interface}", stage.chance.randint(20, 80))
    bulk = stage.python(STREAM, full[1].address, ports[1], 1 << 16, 0)
    filled = bulk.at(full[0].interface)
    names = (lossy[0].interface, lossy[1].interface)
    second = Truth("bandwidth_saturation", culprits=(filled,))
    yield Truth("packet_loss", culprits=(Culprit((*names, lossy[1].address), names),), also=(second,))


@scenario("flood_of_small_packets", needs=("gcc",))
def flood_of_small_packets(stage: Stage) -> Iterator[Truth]:
    """A program sends tiny datagrams over loopback as fast as it can."""
    yield Truth()
    flood = stage.c("flood", "127.0.0.1", free_port(), stage.chance.randint(8, 64))
    yield Truth("softirq_load", culprits=(flood.at("lo"),))


@scenario("flood_into_a_container", needs=("ip", "nsenter", "stress-ng"))
def flood_into_a_container(stage: Stage) -> Iterator[Truth]:
    """A program floods a wire between two interfaces with small datagrams."""
    here, there = wire(stage, OURS, namespace(stage))
    yield Truth()
    flood = stage.c("flood", there.address, free_port(), stage.chance.randint(8, 64))
    where = flood.at(here.interface, there.interface)
    yield Truth("softirq_load", culprits=(where,))


@scenario("stress_ng_floods", needs=("stress-ng",))
def stress_ng_floods(stage: Stage) -> Iterator[Truth]:
    """stress-ng floods the ports of loopback with datagrams."""
    yield Truth()
    flood = stage.start(["stress-ng", "--udp-flood", stage.chance.randint(1, 2), "--timeout", "60"])
    where = Culprit((str(flood.pid), "lo"), (flood.name, "lo", "stress-ng-udp-f", "stress-ng"))
    yield Truth("softirq_load", culprits=(where,))


@scenario("large_transfer_that_flows", needs=("ip", "nsenter"), tags=("control",))
def large_transfer_that_flows(stage: Stage) -> Iterator[Truth]:
    """A fast and large transfer between two namespaces, in large packets; nothing is lost."""
    _, there = wire(stage, OURS, namespace(stage))
    port = free_port()
    stage.python(SINK, there.address, port, through=there.inside)
    yield Truth()
    stage.python(STREAM, there.address, port, 1 << 17, stage.chance.uniform(0.0005, 0.002))
    yield Truth()


@scenario("firewall_turns_strangers_away", needs=("nft", "ip", "nsenter"), tags=("control",))
def firewall_turns_strangers_away(stage: Stage) -> Iterator[Truth]:
    """A firewall drops all that is sent to a port where nobody is: its work, and nobody's loss."""
    here, there = wire(stage, OURS, namespace(stage))
    ports = free_port(), free_port()
    drop_some(stage, OURS, "input", f"iifname {here.interface} udp dport {ports[0]}", 1000)
    stage.python(SINK, here.address, ports[1])
    stage.python(STREAM, here.address, ports[1], 20_000, 0.01, through=there.inside)
    yield Truth()
    stage.python(DATAGRAMS, here.address, ports[0], 60, stage.chance.uniform(0.02, 0.1), through=there.inside)
    yield Truth()
