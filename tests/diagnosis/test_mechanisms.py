"""Each mechanism says what it judges by, and each of its checks can hold and can fail.

`measurements/` has a module a mechanism, of the same name:

- `HOLDS`, a measurement for which every check holds or does not apply;
- `FAILS`, for each check the fields that make it fail;
- `APPLIES`, fields for checks that do not apply to `HOLDS`, with which they hold;
- `DOES_NOT_APPLY`, fields with which a check has nothing to say.
"""

import importlib
from dataclasses import dataclass, replace

import pytest

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.duration import BURST_S, GOES_ON_S, LASTS
from kernelsight.diagnosis.exhaustible import DESCRIPTORS
from kernelsight.diagnosis.faults.cpu_steal import CPU_STEAL
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, fields_of, path
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.ranking import PRIOR, log_odds
from kernelsight.diagnosis.registry import fault_classes, finders, mechanisms
from kernelsight.diagnosis.threshold import Threshold, used_by
from kernelsight.surfaces.mechanisms_page import mechanisms_page

CHECKS = [(name, check) for name, mechanism in mechanisms().items() for check in mechanism.checks]
IDS = [f"{name}-{check.id}" for name, check in CHECKS]
LONG, NEVER = (Threshold(n, "min", because="judged: that is long") for n in (10, 100))
TWO = Threshold(2, "s", because="judged: more is too much")


def measurements(name):
    module = importlib.import_module(f"measurements.{name}")
    return [getattr(module, part, {}) for part in ("HOLDS", "FAILS", "APPLIES", "DOES_NOT_APPLY")]


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=IDS)
def test_a_check_holds_for_one_measurement_and_fails_for_another(name, check):
    holds, fails, applies, _ = measurements(name)
    base = replace(holds, **applies.get(check.id, {}))
    assert check.holds(base) is True
    assert check.holds(replace(base, **fails[check.id])) is False
    assert check.outcome(base).says == check.says.format_map({one: getattr(base, one) for one in fields_of(check.says)})


@pytest.mark.parametrize("name", mechanisms())
def test_a_check_says_nothing_of_what_it_does_not_apply_to(name):
    holds, fails, applies, silent = measurements(name)
    checks = {check.id: check for check in mechanisms()[name].checks}
    assert {*fails} == {*checks}
    assert {*applies, *silent} <= {*checks}
    for check_id, check in checks.items():
        if check_id in applies:
            assert check.outcome(holds) is None, check_id
        if check_id in silent:
            assert check.outcome(replace(holds, **silent[check_id])) is None, check_id


@pytest.mark.parametrize("name", mechanisms())
def test_a_mechanism_is_of_a_declared_class_and_tells_its_reasons(name):
    mechanism = mechanisms()[name]
    assert mechanism.name == name
    assert fault_classes()[mechanism.fault.name] is mechanism.fault
    assert mechanism.candidates in finders()[mechanism.fault.name]
    assert mechanism.checks
    assert sum(check.refutes for check in mechanism.checks) > 0, "nothing could show that it is not so"
    page = "\n".join(mechanisms_page([mechanism]))
    for check in mechanism.checks:
        assert f"| `{check.id}` |" in page
        assert f"| {check.supports:g} | {check.refutes:g} |" in page
        assert check.because.replace("|", "\\|") in page
        assert {*check.thresholds} <= {*mechanism.thresholds}
    for threshold, value in mechanism.thresholds:
        assert f"| `{threshold}` | {value:,.15g} {value.unit} |" in page
        assert value.because.replace("|", "\\|") in page


def test_every_class_of_faults_is_tested_for():
    assert all(finders()[fault] for fault in fault_classes())


@pytest.mark.parametrize(
    ("seconds", "over_for_s", "lasts"),
    [(BURST_S, 60, True), (BURST_S - 1, GOES_ON_S, True), (BURST_S - 1, GOES_ON_S + 1, False)],
)
def test_what_was_short_and_is_over_was_a_burst(seconds, over_for_s, lasts):
    @dataclass(frozen=True)
    class Found:
        duration: object

    @dataclass(frozen=True)
    class Lasted:
        seconds: float
        over_for_s: float

    assert LASTS.holds(Found(Lasted(seconds, over_for_s))) is lasts


# --- the language ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    late_s: float
    known: bool = True

    @property
    def late_ms(self):
        return 1e3 * self.late_s


def check(**changes):
    said = {
        "id": "late",
        "says": "it is {late_ms:,.0f} ms late",
        "holds": lambda one: one.late_s >= TWO if one.known else None,
        "supports": 1.5,
        "refutes": 4.0,
        "because": "judged: being late is what it is",
    }
    return Check(**(said | changes))


TRAIN = Entity("machine", "train", "train")
ROW = Evidence("cpu_stats", 1, 2, "steal", "sum", 3.0, (1,))


def explain(window, late):
    return Explanation(
        culprit=TRAIN,
        onset_ns=7,
        does="comes late",
        harm="",
        suffering_s=late.late_s,
        path=path(claim("it came late", ROW), claim("nobody saw it", None)),
        refuted_by="it is on time",
        outlook="it stays late",
        actions=(),
    )


def mechanism(*checks, late, prior):
    return Mechanism(
        fault=CPU_STEAL, summary="Late.", measure=lambda window: [late], checks=checks, explain=explain, prior=prior
    )


@pytest.mark.parametrize(
    ("late", "odds", "says"),
    [
        (Late(2.0), [1.5], ["it is 2,000 ms late"]),
        (Late(1.5), [-4.0], ["it is 1,500 ms late"]),
        (Late(9.0, known=False), [], []),
    ],
)
def test_a_candidate_has_the_outcomes_of_the_checks_that_apply(late, odds, says):
    (candidate,) = mechanism(check(), late=late, prior=Prior(0.5, "judged: most are")).candidates(None)
    assert [one.odds for one in candidate.checks] == odds
    assert [one.says for one in candidate.checks] == says
    assert log_odds(candidate) == PRIOR + 0.5 + sum(odds)
    assert (candidate.fault, candidate.culprit, candidate.onset_ns) == ("cpu_steal", TRAIN, 7)
    assert candidate.suffering_s == late.late_s
    assert [step.claim for step in candidate.path] == ["it came late"], "what no row shows is not claimed"
    assert isinstance(candidate, Candidate)


def test_a_check_knows_the_thresholds_that_it_compares_with():
    assert check().thresholds == [("TWO", TWO)]
    assert (TWO * 1.5, TWO.unit) == (3.0, "s")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"holds": lambda one: one.late_s > 3}, "3 is a threshold; give it a name, a unit and a reason"),
        ({"holds": lambda one: any(late > 0.5 for late in [one.late_s])}, "0.5 is a threshold"),
        ({"because": " "}, "needs a reason"),
        ({"supports": -1.0}, "supports when it holds"),
        ({"supports": 0.0, "refutes": 0.0}, "one at least"),
    ],
)
def test_a_check_that_hides_what_it_judges_by_is_refused(changes, complaint):
    with pytest.raises(TypeError, match=complaint):
        check(**changes)


def test_what_measures_names_its_thresholds_through_functions_properties_and_methods():
    assert used_by(measures_lateness, __name__).thresholds == [("LONG", LONG), ("TWO", TWO)]
    assert used_by(measures_lateness, "elsewhere").thresholds == [], "it names none itself"


def measures_lateness(window):
    return [Delay(late).is_long for late in window] + [judges(late) for late in window]


def judges(late):
    return late >= TWO


def test_what_measures_names_the_thresholds_of_a_record_whose_method_it_calls():
    names = {name for name, _ in used_by(lambda window: DESCRIPTORS.ends_soon(window, 1.0), "kernelsight").thresholds}
    assert names == {"DESCRIPTORS.horizon_s", "DESCRIPTORS.foresight_times"}


class Delay:
    def __init__(self, late):
        self.late = late

    @property
    def is_long(self):
        return self.late >= LONG

    def never_called(self):
        return self.late >= NEVER


def test_a_threshold_or_a_prior_without_a_reason_is_refused():
    with pytest.raises(TypeError, match="needs a unit and a reason"):
        Threshold(3, "s", because="")
    with pytest.raises(TypeError, match="needs a unit and a reason"):
        Threshold(3, "", because="judged: three")
    with pytest.raises(TypeError, match="needs a reason"):
        Prior(1.0)


def test_two_checks_of_one_name_are_refused():
    with pytest.raises(TypeError, match="two checks of a mechanism have one id"):
        mechanism(check(), check(says="again"), late=Late(2.0), prior=Prior())
