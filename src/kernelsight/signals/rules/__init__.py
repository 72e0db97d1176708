"""One module per subject, each declaring its rules; a new module is found by itself."""
