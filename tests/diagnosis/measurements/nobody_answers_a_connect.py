"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.nobody_answers_a_connect import Unanswered
from kernelsight.diagnosis.window import Interval

HOLDS = Unanswered(
    place="10.0.0.9:5432",
    address="10.0.0.9",
    run=Interval(3, 5),
    onset_ns=3,
    seconds=3,
    askers=(),
    places=9,
    full_listener=False,
    data_sent_again=2,
    requests_sent_again=3,
    waiting=(),
    again=(),
    dropped=(),
)
FAILS = {
    "none_is_made": {"made": 1},
    "table_has_room": {"table_is_full": True},
    "lasts": {"seconds": 2},
    "no_full_listener": {"full_listener": True},
    "data_arrives": {"data_sent_again": 3},
    "few_places": {"places": 10},
}
