"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.servers_wait_for_each_other import Servers
from kernelsight.diagnosis.peers import Peers
from kernelsight.diagnosis.window import Interval

HOLDS = Servers(
    peers=Peers(Interval(3, 12), (), (), ()),
    duration=Duration(seconds=10, over_for_s=20),
    servers=2,
    waiting=1.0,
    ran=1.0,
    clients_wait_share=0.8,
)
FAILS = {
    "clients_wait": {"clients_wait_share": 0.79},
    "few_go_on": {"ran": 1.1},
    "several_wait": {"servers": 1},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
