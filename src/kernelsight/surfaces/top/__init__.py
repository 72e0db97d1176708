"""The machine on a terminal, second by second: `kernelsight top` live, `kernelsight replay` for any recorded second."""
