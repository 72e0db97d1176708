"""Says "ready" when the collector of services runs, and after two seconds what it saw at a port."""

import json
import sys
import time
from contextlib import closing

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.service import Services

with closing(Services(Host())) as collector:
    print("ready", flush=True)
    events = []
    for _ in range(2):
        time.sleep(1)
        events += [event for event in collector.collect(time.time_ns()) if event.port == int(sys.argv[1])]
print(json.dumps([
    {"kind": type(event).__name__} | {name: getattr(event, name) for name in event.__struct_fields__}
    for event in events
]))  # fmt: skip
