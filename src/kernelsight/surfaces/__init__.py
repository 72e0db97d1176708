"""Where people and programs meet the system."""
