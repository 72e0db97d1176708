"""One module per family of faults; each registers its hypotheses."""
