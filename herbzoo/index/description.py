"""What an index holds and how it is searched, for people."""

from __future__ import annotations

from dataclasses import dataclass

from herbzoo.index.database import IndexFacts
from herbzoo.index.embedding_table import EmbeddingModel


@dataclass(frozen=True)
class IndexDescription:
    """What an index holds and how it is searched."""

    where: str
    rows: int
    species: int
    """Different scientific names."""
    institutions: int
    """Different institution codes."""
    model: EmbeddingModel
    facts: IndexFacts
    columns: tuple[str, ...]
    """Those that may be filtered by, and hold anything."""
    pictured: int
    """Rows with a thumbnail."""
    unsorted: int
    """Rows added since the vectors were last sorted; searches look at each of them."""

    def __str__(self) -> str:
        """Returns a few lines."""
        plan = self.facts.plan
        search = "every vector is looked at (exact)"
        if plan.partitions:
            search = (
                f"{plan.probes} of {plan.partitions:,} partitions, {plan.recall:.1%} of the 10 "
                "nearest found when it was built; all partitions with a filter"
            )
        lines = [
            ("index", self.where),
            ("rows", f"{self.rows:,} images, {self.species:,} names"),
            ("institutions", f"{self.institutions:,}"),
            ("model", str(self.model)),
            ("embedding", f"{self.model.dimension} numbers"),
            ("search", search),
            ("thumbnails", f"{self.facts.thumbnails}, {self.pictured:,} rows have one"),
            ("columns", ", ".join(self.columns)),
        ]
        if self.unsorted:
            lines.insert(6, ("added since", f"{self.unsorted:,} rows, looked at one by one"))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)
