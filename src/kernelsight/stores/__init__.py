"""Where events live: one contract (`base`), one package a backend."""
