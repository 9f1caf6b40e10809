"""Argo CD's health checks, run as Argo CD runs them: Lua 5.1, only the base, table and os libraries, `obj` as a global.

Argo CD uses gopher-lua; this is the C one of the same language version. What it takes away is Argo CD's own list
(util/lua/lua.go), so that a check that needs `string` fails here as it would there.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

Object = dict[str, Any]
ABSENT = ("string", "math", "io", "debug", "coroutine", "package", "require")


def health(script: str, obj: Object) -> tuple[str, str]:
    """(status, message) of this object, as Argo CD would show them."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute("getmetatable('').__index = nil")
    for name in ABSENT:
        lua.globals()[name] = None
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    found = lua.execute(script)
    return str(found["status"]), str(found["message"])
