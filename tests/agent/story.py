"""The time that the stories of these tests are about."""

from scenes import END, START

from kernelsight.query.times import TimeRange

WINDOW = TimeRange(START, END)
