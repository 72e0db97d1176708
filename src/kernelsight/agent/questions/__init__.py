"""Questions in plain words, answered without a model: what can be looked up is, and what can't is said."""
