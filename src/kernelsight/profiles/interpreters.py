"""Functions in which an interpreter runs a program of its language: what they run has other names, in that language."""

from __future__ import annotations

from collections.abc import Mapping

INTERPRETS: Mapping[str, str] = {
    "_PyEval_EvalFrameDefault": "Python",
    "luaV_execute": "Lua",
    "Perl_runops_standard": "Perl",
    "rb_vm_exec": "Ruby",
    "vm_exec_core": "Ruby",
    "execute_ex": "PHP",
    "Builtins_InterpreterEntryTrampoline": "JavaScript",
}
"""The language, by the function's name."""
