"""Questions about telemetry, asked of any store."""
