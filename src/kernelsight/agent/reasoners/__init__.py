"""The reasoners, one a module: each has ``begin(source)``, which begins a conversation."""
