"""Tell people and programs of findings: when one begins, while it goes on, and when it is over."""
