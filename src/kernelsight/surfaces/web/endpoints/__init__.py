"""The endpoints of the JSON API, one module a subject."""
