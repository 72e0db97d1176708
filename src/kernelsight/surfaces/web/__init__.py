"""Web pages over a store, and the JSON API that they use."""
