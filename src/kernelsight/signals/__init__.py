"""Named symptoms: rules that turn events into signals, live or over a past range, with the same result."""
