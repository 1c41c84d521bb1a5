"""Made-up installed distributions: a module and a dist-info folder, as pip would leave them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

HEAD = """
    from torch import nn


    class Anyhead(nn.Linear):
        '''A head nobody needs.'''

        def logits(self, embeddings):
            return self(embeddings)

        def loss(self, embeddings, labels):
            return nn.functional.cross_entropy(self(embeddings), labels)
"""


def write(site: Path, name: str, entry_points: dict[str, dict[str, str]], code: str = HEAD) -> None:
    """Writes a distribution into a folder of `sys.path`.

    Args:
        site: the folder.
        name: of the distribution; its module has the same name with underscores.
        entry_points: `{group: {name: attribute of the module}}`.
        code: of the module.
    """
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(dedent(code))
    info = site / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = []
    for group, points in entry_points.items():
        lines.append(f"[{group}]")
        lines.extend(f"{point} = {module}:{attribute}" for point, attribute in points.items())
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
