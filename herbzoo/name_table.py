"""A table of accepted names and synonyms: what of it concerns some names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from herbzoo.name_layouts import SYNONYM
from herbzoo.name_stream import NameFile
from herbzoo.name_usages import Usage, genus_of, name_key, rankless_key
from herbzoo.names import parse_name


@dataclass
class NameTable:
    """The rows of a table that may concern some names."""

    title: str
    """What kind of table it is, such as `WCVP`."""
    version: str
    """What the user calls its version, else a digest of the file."""
    rows: int = 0
    """Rows that were looked at."""
    unreadable: int = 0
    """Rows among them that could not be used: broken lines, or names that do not parse."""
    _by_key: dict[str, list[Usage]] = field(default_factory=dict)
    _by_id: dict[str, Usage] = field(default_factory=dict)
    _spellings: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        path: str | Path,
        wanted: Iterable[str] | None = None,
        *,
        version: str = "",
        progress: Callable[[int], object] = lambda rows: None,
    ) -> NameTable:
        """Reads a table, told by its columns: WFO, WCVP, GBIF backbone, LCVP, or one's own.

        Args:
            path: the table as it was downloaded; also as `.gz`, or the zip it came in.
            wanted: names to be resolved, with or without authorship. Only rows that concern them
                are kept, so that memory does not grow with the table. `None` keeps all.
            version: what to call it, such as `2025-06`; by default a digest of the file.
            progress: told how many more rows have been looked at.

        Raises:
            DataError: if it is not there, none of these, or not UTF-8.
        """
        file = NameFile(Path(path).expanduser(), progress)
        table = cls(file.title, version or file.digest())
        if wanted is None:
            for usage in file.scan():
                table.add(usage)
        else:
            table._keep(file, {name_key(parse_name(name).name) for name in wanted} - {""})
        table.rows, table.unreadable = file.rows, file.unreadable
        return table

    def _keep(self, file: NameFile, keys: set[str]) -> None:
        """Reads the rows of some names, and then those that their synonyms lead to."""
        asked, looked_up, ids = keys, set[str](), set[str]()
        while keys:
            for usage in file.scan(keys=keys):
                self.add(usage)
            looked_up |= keys
            names, new = self._targets()
            keys = {name_key(parse_name(name).name) for name in names} - looked_up - {""}
            while new - ids:
                ids |= new
                for usage in file.scan(ids=new):
                    self.add(usage, listed=False)
                new = self._targets()[1]
        unknown = {genus_of(key) for key in asked if key not in self._by_key}
        for genus, text in file.texts(unknown):
            self._spellings.setdefault(genus, []).append(text)

    def _targets(self) -> tuple[set[str], set[str]]:
        """Returns what synonyms lead to and is not there: names, and ids."""
        names, ids = set[str](), set[str]()
        for usage in self._by_id.values():
            if usage.kind == SYNONYM and usage.accepted not in self._by_id:
                (names if usage.accepted_is_name else ids).add(usage.accepted)
        return names, ids

    def add(self, usage: Usage, listed: bool = True) -> None:
        """Adds a row.

        Args:
            usage: the row.
            listed: whether names can be looked up by it; otherwise only ids lead to it.
        """
        self._by_id.setdefault(usage.id, usage)
        if listed:
            for key in {name_key(usage.name), rankless_key(usage.name)}:
                same = self._by_key.setdefault(key, [])
                if usage not in same:
                    same.append(usage)

    def usages(self, name: str) -> tuple[Usage, ...]:
        """Returns the rows of a name without authorship, homonyms included.

        A name below species without its rank (`Quercus alba repanda`) has those of every rank.
        """
        return tuple(self._by_key.get(name_key(name), ()))

    def usage(self, id: str) -> Usage | None:
        """Returns the row of an id."""
        return self._by_id.get(id)

    def spellings(self, genus: str) -> set[str]:
        """Returns names that exist in a genus; empty if the table was not read for it."""
        names = (parse_name(text).name for text in self._spellings.get(name_key(genus), ()))
        return {name for name in names if name}
