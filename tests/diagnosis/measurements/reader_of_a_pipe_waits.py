"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from measurements.reader_of_a_pipe_computes import HOLDS as COMPUTES

from kernelsight.diagnosis.duration import Duration

HOLDS = replace(COMPUTES, ran=0.2)
FAILS = {
    "held_up": {"share": 0.59},
    "kept_up_before": {"share_before": None},
    "reader_waits": {"ran": 0.21},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
