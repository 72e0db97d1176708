"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.round_trips_behind_bulk_data import Behind
from kernelsight.diagnosis.window import Interval
from kernelsight.events.tcp import TcpConnection

HOLDS = Behind(
    address="10.0.0.1",
    run=Interval(3, 12),
    in_flight_bytes=65_536.0,
    sender=None,
    queue_is_seen=False,
    cpus_are_short=False,
    bulk=(),
    others=(TcpConnection(1),),
)
FAILS = {
    "bulk_data": {"in_flight_bytes": 65_535.0},
    "others_wait": {"others": ()},
    "queue_is_elsewhere": {"queue_is_seen": True},
    "cpus_have_room": {"cpus_are_short": True},
}
