"""What a culprit computes is said of its finding, with the rows that show it."""

import pytest
from scenes import FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.memory import Memory
from kernelsight.events.stack import Stack, StackSample
from kernelsight.linux.stacks import NO_FILE, File, Frames, encoded


def kernel_stack(number, *functions):
    return Stack(START, stack_id=number, space="kernel", frames=encoded(Frames(kernel=functions)), ends="whole")


def sampled(pid, comm, user, kernel, count):
    return [
        StackSample(
            START + second * SECOND, pid=pid, comm=comm, user_stack_id=user, kernel_stack_id=kernel, samples=count,
            cpu_ns=count * SECOND // 19,
        )
        for second in range(LENGTH)
    ]  # fmt: skip


STACKS = [
    kernel_stack(1, "clear_page_erms+0x7", "do_anonymous_page+0x10"),
    kernel_stack(2, "finish_task_switch+0x1"),
    Stack(
        START, stack_id=3, space="user", pid=70, frames=encoded(Frames((File("/gone/lib.so", "ab" * 20),), ((0, 64),)))
    ),
    Stack(START, stack_id=4, space="user", pid=70, frames="nonsense"),
    Stack(START, stack_id=5, space="user", pid=70, frames=encoded(Frames((), ((NO_FILE, 4096),)))),
]


@pytest.fixture
def answer(tmp_path):
    def answered(*samples):
        hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5, since=FROM)]
        memory = [Memory(START + second * SECOND, mem_total_kb=8_000_000) for second in range(LENGTH)]
        waiting = [*used(12, "web", 100, 1, group=2), *used(13, "api", 90, 300, group=2, since=FROM)]
        path = stored(tmp_path / "db", [*cpus(2), *memory, *waiting, *hogs, *STACKS, *samples])
        found = diagnose(path, START, START + LENGTH * SECOND)
        assert found.findings[0].fault == "cpu_saturation"
        assert check(path, found) == []
        return found.findings[0]

    return answered


def last(finding):
    return finding.path[-1]


def test_the_function_with_most_of_the_cpu_time_is_named_with_its_share(answer):
    finding = answer(
        *sampled(70, "crunch", None, 1, 12), *sampled(70, "crunch", None, 2, 4),
        *sampled(71, "crunch", None, 1, 12), *sampled(71, "crunch", None, 2, 4),
        *sampled(13, "api", None, 2, 5),
    )  # fmt: skip
    step = last(finding)
    assert step.claim == "75 % of the CPU time of crunch is in `clear_page_erms` (kernel)"
    part, whole = step.evidence
    assert (part.table, part.metric, part.how) == ("stack_samples", "samples", "sum")
    assert part.value / whole.value == pytest.approx(0.75)


def test_a_function_without_a_name_is_told_by_its_place(answer):
    step = last(answer(*sampled(70, "crunch", 3, None, 19), *sampled(71, "crunch", 3, None, 19)))
    assert step.claim == "100 % of the CPU time of crunch is in a function without a name (`lib.so+0x40`)"


def test_the_program_for_which_the_kernel_computes_is_told(answer):
    step = last(answer(*sampled(70, "crunch", 3, 1, 19), *sampled(71, "crunch", 3, 1, 19)))
    assert step.claim.endswith("`clear_page_erms` (kernel), below a function without a name (`lib.so+0x40`)")


@pytest.mark.parametrize("stack", [None, 4, 99])
def test_nothing_is_said_where_no_stack_can_be_read(answer, stack):
    finding = answer(*sampled(70, "crunch", stack, None, 19), *sampled(71, "crunch", stack, None, 19))
    assert "of the CPU time of" not in last(finding).claim


def test_nothing_is_said_of_few_samples(answer):
    few = [sample for sample in sampled(70, "crunch", None, 1, 1) if sample.timestamp < FROM + 5 * SECOND]
    assert "of the CPU time of" not in last(answer(*few)).claim


def test_time_that_is_spread_is_not_called_hot(answer):
    many = [kernel_stack(100 + number, f"f{number}+0x1") for number in range(30)]
    samples = [
        sample for pid in (70, 71) for number in range(30) for sample in sampled(pid, "crunch", None, 100 + number, 1)
    ]
    assert last(answer(*many, *samples)).claim == (
        "the CPU time of crunch is spread over many functions: `f0` (kernel) has most of it, 3 %; "
        "100 % is in the kernel"
    )


def test_code_that_a_runtime_made_is_called_that(answer):
    step = last(answer(*sampled(70, "crunch", 5, None, 19), *sampled(71, "crunch", 5, None, 19)))
    assert step.claim == "100 % of the CPU time of crunch is in code that it made while it ran, and that has no names"


def test_the_loop_of_an_interpreter_is_called_that(answer):
    loop = kernel_stack(6, "_PyEval_EvalFrameDefault+0x7")
    step = last(answer(loop, *sampled(70, "crunch", None, 6, 19), *sampled(71, "crunch", None, 6, 19)))
    assert step.claim.endswith("`_PyEval_EvalFrameDefault` (kernel), which interprets Python")


def test_a_function_that_has_more_of_the_cpu_time_than_before_is_said_to(answer):
    samples = [*sampled(70, "crunch", None, 2, 4)[:FROM], *sampled(70, "crunch", None, 1, 12)[FROM:]]
    others = sampled(71, "crunch", None, 2, 4)[:FROM], sampled(71, "crunch", None, 1, 12)[FROM:]
    finding = answer(*samples, *others[0], *others[1])
    assert "100 % (before 0 %) of the CPU time of crunch is in `clear_page_erms`" in last(finding).claim
    assert len(last(finding).evidence) == 3
