"""The program: the installed command ``kernelsight``, and ``python -m kernelsight``."""

import signal


def main() -> None:
    """Run the command line.

    Loading it takes a tenth of a second, in which Ctrl-C must not print a traceback: until a command runs,
    SIGINT ends the process without a word. A command that runs gets `KeyboardInterrupt`
    (:mod:`kernelsight.surfaces.cli.command`). An ignored SIGINT stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kernelsight.surfaces.cli.main import main as command_line  # noqa: PLC0415 - see above

    command_line()


if __name__ == "__main__":
    main()
