"""Services: what their clients feel."""

from kernelsight.events.service import ServiceStats
from kernelsight.surfaces.web.chart import Chart, Line, chart

_SERVICES = "services"
_PER = (ServiceStats.comm, ServiceStats.address, ServiceStats.port)

chart(
    Chart(
        "service-requests",
        "Requests",
        "Requests that each service gets.",
        ServiceStats,
        (Line("", (ServiceStats.requests,)),),
        "1/s",
        _SERVICES,
        per=_PER,
        rank=51,
    )
)
chart(
    Chart(
        "service-latency",
        "Latency",
        "The time below which 99 of 100 answers of a second come.",
        ServiceStats,
        (Line("p99", (ServiceStats.latency_p99_us,)), Line("p50", (ServiceStats.latency_p50_us,))),
        "s",
        _SERVICES,
        per=_PER,
        rank=52,
    )
)
chart(
    Chart(
        "service-queue",
        "Where the time goes",
        "99th percentile of the wait until the program reads a request, and of the time until it answers.",
        ServiceStats,
        (Line("waits", (ServiceStats.queue_p99_us,)), Line("is served", (ServiceStats.service_p99_us,))),
        "s",
        _SERVICES,
        per=_PER,
        rank=53,
    )
)
chart(
    Chart(
        "service-unanswered",
        "Oldest unanswered request",
        "Age of the request that waits longest.",
        ServiceStats,
        (Line("", (ServiceStats.oldest_unanswered_ms,)),),
        "s",
        _SERVICES,
        per=_PER,
        rank=54,
    )
)
