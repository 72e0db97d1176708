"""The Model Context Protocol: any assistant may ask this machine's telemetry, and only ask."""
