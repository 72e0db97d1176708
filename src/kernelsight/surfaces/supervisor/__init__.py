"""Runs the parts of the system as separate processes, joined by a pipe, and ends them in order."""
