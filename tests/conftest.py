"""For all tests."""

import os

# What tests start buffers what it prints, as it does for people.
os.environ.pop("PYTHONUNBUFFERED", None)
