"""One module per family of faults, and one of controls."""
