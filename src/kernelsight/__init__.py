"""KernelSight: kernel telemetry, collected, stored, queried and explained."""

__version__ = "0.1.0"
