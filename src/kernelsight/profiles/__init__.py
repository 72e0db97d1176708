"""What programs compute: stored stacks, their functions by name, and how much of the CPU time each has."""
