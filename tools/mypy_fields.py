"""Plugin of mypy: a column read on the class of its event names the column (`kernelsight.events.fields`)."""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import TypeInfo, Var
from mypy.plugin import AttributeContext, Plugin
from mypy.types import CallableType, Instance, Type, TypeType, get_proper_type

_EVENT = "kernelsight.events.declare.Event"
_FIELD = "kernelsight.events.fields.Field"


class Fields(Plugin):
    """Gives `Process.rss_kb` the type `Field[Process, int | None]`."""

    def get_class_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        """A hook for the fields of events; mypy names them by the class where they are declared."""
        owner, _, name = fullname.rpartition(".")
        symbol = self.lookup_fully_qualified(owner)
        info = symbol.node if symbol else None
        if not isinstance(info, TypeInfo) or not info.has_base(_EVENT):
            return None
        declared = info.get(name)
        if declared is None or not isinstance(declared.node, Var) or declared.node.is_classvar or name.startswith("_"):
            return None
        return self._field

    def _field(self, context: AttributeContext) -> Type:
        event, field = _event_of(get_proper_type(context.type)), self.lookup_fully_qualified(_FIELD)
        if event is None or context.is_lvalue or field is None or not isinstance(field.node, TypeInfo):
            return context.default_attr_type
        return Instance(field.node, [event, context.default_attr_type])


def _event_of(accessed: Type) -> Type | None:
    """The event whose class was read: by its name, or as a value of `type[...]`."""
    accessed = get_proper_type(accessed)
    if isinstance(accessed, CallableType):
        return accessed.ret_type
    return accessed.item if isinstance(accessed, TypeType) else None


def plugin(version: str) -> type[Plugin]:  # noqa: ARG001 - mypy passes its version
    """What mypy asks for."""
    return Fields
