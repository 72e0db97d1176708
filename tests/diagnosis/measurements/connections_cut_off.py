"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.connections_cut_off import CutOff

HOLDS = CutOff(interface="near0", cause="IP_INNOROUTES in ip_rcv", tries=3, dropped=3, again=(), drops=())
FAILS = {"dropped_with_each_try": {"dropped": 2}}
