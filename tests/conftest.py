"""For all tests."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# What tests start buffers what it prints, as it does for people.
os.environ.pop("PYTHONUNBUFFERED", None)
os.environ["KERNELSIGHT_NO_WEB"] = "1"  # systems that tests start beside each other would want the same port

# It takes signals as it does for people, even if the tests run in the background and ignore these: what is handled
# here, other than what is ignored, is not inherited.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# How long an example takes is the machine's business: a gate on a loaded one must not fail for it.
settings.register_profile("gate", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("gate"), max_examples=2000)  # `make torture`
settings.load_profile("gate")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Side by side, files with slow tests begin first: no process is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)
