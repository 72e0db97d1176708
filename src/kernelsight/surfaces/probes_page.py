"""The page of the probes of a live diagnosis, written from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.diagnosis.probe import CLOSE, Probe


def probes_page(probes: Iterable[Probe]) -> Iterator[str]:
    """The lines of the page."""
    probes = list(probes)
    yield from ("# Probes", "")
    yield (
        "`kernelsight diagnose --live` takes a closer look where its first answer leaves something open: one of this "
        "closed list, for some seconds, beside the usual collectors. Then it judges the whole time again with the new "
        "rows. The report says which probe ran, why, and what it told; without the privileges that it needs, what it "
        "would need. `--no-probes` leaves it out, `--probe NAME` runs one in any case."
    )
    yield ""
    yield (
        f"Two explanations that are close (alternatives, or less than {CLOSE:g} of confidence apart) come first: a "
        "probe is wanted that looks at a part of the machine of which only one of them is a fault. Then comes what a "
        "sure finding does not say, such as the function; of several probes the cheapest runs."
    )
    yield from ("", "| probe | finds out | of faults of | adds rows to | runs for | costs | which was measured by |")
    yield "|---|---|---|---|---|---|---|"
    for probe in probes:
        cost = f"{probe.price.cpu_percent:g} % of a CPU"
        cells = (
            f"`{probe.name}`", probe.asks, probe.part, f"`{probe.shows}`", f"{probe.seconds} s", cost,
            probe.price.measured,
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        "The cost is what a probe takes more than what is always on. Each needs the privileges of the collector that "
        f"it resembles: {', '.join(f'`{probe.name}` those of `{probe.likened_to}`' for probe in probes)} (root, or "
        "CAP_BPF and CAP_PERFMON). Each is a module of `src/kernelsight/diagnosis/probes/`."
    )
