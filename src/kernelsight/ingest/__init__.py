"""From lines to rows: decode, identify, normalise, batch, account, store."""
