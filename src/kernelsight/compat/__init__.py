"""The documented module names (db_manager, query_utils, event_parsers), as facades."""
