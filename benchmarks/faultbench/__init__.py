"""Real faults on this machine, bounded and cleaned up after, with the truth written by who makes them."""
