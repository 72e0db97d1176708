"""The kinds of questions that can be answered without a model, one module each, found by themselves."""
