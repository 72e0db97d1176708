"""The reasoners, one a module: each has ``begin(source, budget, model)``, which begins a conversation."""
