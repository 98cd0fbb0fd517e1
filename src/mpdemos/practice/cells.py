"""``%%worker``: a notebook cell that every process can import.

A child finds a function by the name of its module, so the cell becomes a module, a file in a private folder
on ``sys.path``. It is named by its content: an edited cell is another module, and nobody can import an old
one by mistake. The file has the lines of the cell at their own numbers; in the place of the line ``%%worker``
stands the import of what the cell uses from earlier worker cells.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import re
import symtable
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .folder import private_folder

_SHOWN_AS = "<%%worker cell>"


@dataclass
class _Cell:
    title: str
    source: str  # begins with an empty line, where the magic stood
    binds: set[str]
    uses: set[str]
    module: ModuleType | None = None
    objects: dict[str, Any] = field(default_factory=dict)


ran_last: set[str] = set()  # what the worker cell defines that ran last
failed_last: set[str] = set()  # what it would have defined, if it failed


class WorkerCells:
    """The worker cells of one kernel.

    Args:
        namespace: the notebook's variables.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._cells: list[_Cell] = []

    def run(self, title: str, source: str) -> str:
        """Turn a cell into a module, import it, and put its names into the notebook.

        Args:
            title: the first part of the module's name; ``worker`` if empty.
            source: the cell, without its first line.

        Returns:
            A line that says which names every process can use now.

        Raises:
            SyntaxError: if the cell is not Python; its line number is the cell's.
            ValueError: if the title cannot name a module, or a name would hide one.
            NameError: if the cell uses a name that only an ordinary cell defines.
        """
        ran_last.clear()
        failed_last.clear()
        failed_last.update(re.findall(r"(?m)^(?:def|class)\s+(\w+)", source))
        cell = _read(title or "worker", source)
        try:
            _refuse_to_hide(title, cell, self._namespace)
            self._refuse_what_children_cannot_see(cell)
        except (ValueError, NameError) as error:
            _show_only(error)
            raise
        self._load(cell)
        self._cells = [c for c in self._cells if not c.binds <= cell.binds] + [cell]
        self._load_dependents(cell, {id(cell)})
        failed_last.clear()
        ran_last.update(cell.binds)
        shown = [name for name in cell.objects if not isinstance(cell.objects[name], ModuleType)]
        own = sorted(name for name in shown if not _is_imported(cell, name))
        return f"Every process can now use: {', '.join(own) or 'nothing, the cell defines no name'}."

    def _owner(self, name: str) -> _Cell | None:
        return next((cell for cell in reversed(self._cells) if name in cell.binds), None)

    def _refuse_what_children_cannot_see(self, cell: _Cell) -> None:
        for name in sorted(cell.uses):
            if name in self._namespace and self._owner(name) is None:
                raise NameError(
                    f"this cell uses {name!r}, which an ordinary cell defines: a child process cannot "
                    "see it. "
                    f"Move the line that defines or imports {name!r} into this cell"
                )

    def _load(self, cell: _Cell) -> None:
        text = self._with_imports(cell)
        name = f"{cell.title}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        path = Path(_folder(), name + ".py")
        path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        sys.modules.pop(name, None)  # run again, the cell starts afresh
        try:
            cell.module = importlib.import_module(name)
        except BaseException as error:
            _show_only(error, path)
            sys.modules.pop(name, None)
            path.unlink()
            raise
        cell.objects = {bound: vars(cell.module)[bound] for bound in cell.binds if bound in vars(cell.module)}
        self._namespace.update(cell.objects)

    def _with_imports(self, cell: _Cell) -> str:
        owners = {name: self._owner(name) for name in sorted(cell.uses)}
        imports = "; ".join(
            f"from {owner.module.__name__} import {name}"
            for name, owner in owners.items()
            if owner is not None and owner.module is not None
        )
        lines = cell.source.split("\n")
        future = [
            n
            for n in ast.parse(cell.source).body
            if isinstance(n, ast.ImportFrom) and n.module == "__future__"
        ]
        if imports and future:  # nothing may stand before it
            line, column = (future[-1].end_lineno or 1) - 1, future[-1].end_col_offset
            lines[line] = f"{lines[line][:column]}; {imports}"
        elif imports:
            lines[0] = imports
        return "\n".join(lines)

    def _load_dependents(self, changed: _Cell, done: set[int]) -> None:
        """Let the cells that use a name of this one use the new one."""
        for cell in self._cells:
            if id(cell) not in done and cell.uses & changed.binds:
                done.add(id(cell))
                self._load(cell)
                self._load_dependents(cell, done)


def _show_only(error: BaseException, path: Path | None = None) -> None:
    """Let IPython show no line of ours: those from the cell on, or the message alone."""
    where = error.__traceback__
    while path and where is not None and where.tb_frame.f_code.co_filename != str(path):
        where = where.tb_next
    told = traceback.format_exception(type(error), error, where if path else None)
    error._render_traceback_ = lambda: told  # type: ignore[attr-defined]


def _folder() -> str:
    """Where the modules are; every child gets ``sys.path`` from its parent."""
    folder = private_folder()
    if folder not in sys.path:
        sys.path.append(folder)
    return folder


def _read(title: str, source: str) -> _Cell:
    source = "\n" + source
    compile(source, _SHOWN_AS, "exec", dont_inherit=True)
    table = symtable.symtable(source, _SHOWN_AS, "exec")
    binds = {
        s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()
    }
    uses: set[str] = set()
    tables = [table]
    while tables:
        scope = tables.pop()
        tables += scope.get_children()
        for symbol in scope.get_symbols():
            top = scope is table
            if symbol.is_referenced() and (top or symbol.is_global()):
                uses.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                binds.add(symbol.get_name())
    known = {"exit", "quit", *dir(builtins)}  # IPython puts the first two elsewhere
    return _Cell(title, source, binds, uses - binds - known)


def _refuse_to_hide(title: str, cell: _Cell, namespace: dict[str, Any]) -> None:
    if title and not re.fullmatch(r"[A-Za-z_]\w*", title, re.ASCII):
        raise ValueError(f"%%worker takes one name for its module, of letters, digits and _, not {title!r}")
    if title in sys.stdlib_module_names:
        raise ValueError(
            f"{title!r} is a module of the standard library, and this cell would be mistaken for it: "
            f"choose another name, for example %%worker my_{title}"
        )
    for name in sorted(cell.binds):
        module = namespace.get(name)
        hides = isinstance(module, ModuleType) and name in sys.stdlib_module_names
        if hides and not _is_imported(cell, name):
            raise ValueError(
                f"this cell defines {name!r}, which would hide the standard library's module {name} that the "
                f"notebook has imported: choose another name, for example my_{name}"
            )


def _is_imported(cell: _Cell, name: str) -> bool:
    table = symtable.symtable(cell.source, _SHOWN_AS, "exec")
    try:
        return table.lookup(name).is_imported()
    except KeyError:
        return False
