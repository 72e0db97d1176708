"""Packages that were installed, upgraded or removed."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Int, Label, Means, Text, event

PackageAction = Literal["installed", "upgraded", "removed", "changed"]


@event(
    table="package_changes",
    source="/var/log/{dpkg,pacman,dnf.rpm}.log; else when the database of rpm or apk was written; every 10 s",
    entity=("package_manager", "package"),
    recognised_by=(("package_manager", "package"),),
    indexes=(("package", "timestamp"),),
    interval_s=None,
    most_per_s=50,
)
class PackageChange(Event, tag="package_change"):
    """One package that was installed, upgraded or removed; at the first look also those of the last day."""

    package_manager: Annotated[Text | None, Label(), Means("dpkg, pacman, dnf, rpm or apk")] = None
    package: Annotated[Text | None, Label(), Means("NULL: some package; the manager's log does not say which")] = None
    package_action: Annotated[PackageAction | None, Label()] = None
    version: Annotated[Text | None, Label(), Means("afterwards; NULL: there is none, or it is not known")] = None
    previous_version: Annotated[Text | None, Label(), Means("before; NULL: there was none, or it is not known")] = None
    happened_ns: Annotated[
        Int | None, Label("ns"), Means("when the package manager did it, by its log, which tells whole seconds")
    ] = None
    programs: Annotated[
        Text | None, Label(), Means("paths of programs in the package, separated by spaces, up to 40; of dpkg only")
    ] = None
    units: Annotated[Text | None, Label(), Means("units of systemd in the package, likewise")] = None
