"""Options that several verbs of `herbzoo index` take, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from herbzoo.errors import HerbzooError

if TYPE_CHECKING:
    from herbzoo.index import SpecimenIndex
    from herbzoo.inference import Identifier

Index = Annotated[
    str, typer.Argument(metavar="INDEX", help="Folder of the index, or its URL (s3://...).")
]
Embeddings = Annotated[
    str, typer.Argument(metavar="EMBEDDINGS", help="Parquet file that `herbzoo embed` wrote.")
]
Run = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="The model, if it is no longer where it was."),
]
Where = Annotated[
    str,
    typer.Option(help="Only sheets like this: \"family = 'Fagaceae' and institutionCode = 'NY'\"."),
]


def model_for(index: SpecimenIndex, run: str | None, device: str, dtype: str) -> Identifier:
    """Loads the model of an index.

    Raises:
        RunError: if the one given is another.
        HerbzooError: if it is not where it was.
    """
    from herbzoo.index import EmbeddingModel
    from herbzoo.inference import Identifier

    known = index.model
    stored = known.source
    if known.revision and "@" not in stored:
        stored = f"{stored}@{known.revision}"
    try:
        identifier = Identifier.from_pretrained(run or stored, device, dtype)
    except HerbzooError as error:
        if run:
            raise
        raise HerbzooError(
            f"the model of {index.where} is not to be had as {stored} ({error}): say where it is "
            "with --run"
        ) from error
    known.check_same(EmbeddingModel.of(identifier), index.where)
    return identifier
