"""For all tests."""

import os

from hypothesis import HealthCheck, settings

# What tests start buffers what it prints, as it does for people.
os.environ.pop("PYTHONUNBUFFERED", None)

# How long an example takes is the machine's business: a gate on a loaded one must not fail for it.
settings.register_profile("gate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate")
