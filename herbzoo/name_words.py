"""The words that scientific names are written with, beside the names themselves."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RANKS = (
    dict.fromkeys(("subsp", "ssp", "subspec", "subspecies"), "subsp.")
    | dict.fromkeys(("var", "variety", "varietas"), "var.")
    | dict.fromkeys(("f", "fo", "forma", "form"), "f.")
    | {"subvar": "subvar.", "subf": "subf.", "subforma": "subf.", "convar": "convar."}
    | {"nothosubsp": "nothosubsp.", "nothossp": "nothosubsp.", "nothovar": "nothovar."}
    | {"nothof": "nothof.", "lusus": "lusus", "proles": "proles", "prol": "proles"}
    | {"monstr": "monstr.", "mut": "mut.", "unranked": "[unranked]"}
)
"""Infraspecific ranks as they are written, without the full stop, and as they should be."""

SECTIONS = (
    dict.fromkeys(("subg", "subgen", "subgenus"), "subg.")
    | dict.fromkeys(("sect", "section", "sectio"), "sect.")
    | dict.fromkeys(("subsect", "subsection"), "subsect.")
    | {"ser": "ser.", "series": "ser.", "subser": "subser."}
)
"""Ranks between genus and species."""

OPEN_NAMES = frozenset(("sp", "spp", "sps", "spec", "species", "indet"))
"""What stands in place of an epithet that nobody knows."""

NO_NAMES = frozenset(
    (
        *("nil", "na", "n/a", "nan", "none", "null", "unknown", "unidentified", "undetermined"),
        *("indet", "indetermined", "indeterminate", "not identified", "no name", "unnamed"),
        *("other", "others", "various", "mixed", "background", "incertae sedis", "sp", "sp. nov"),
        *("train", "test", "validation", "val", "herbarium", "field", "photo", "pressed"),
    )
)
"""Entries that say there is no name."""

CONNECTORS = _words(
    "ex et and in emend non nec not sensu auct auctt hort al f fil bis apud pro con y e und "
    "with p p.p "
)
"""Words between authors, and the `f.` of the son."""

PARTICLES = _words(
    "de del della der den des di do dos da das du la le van von vom zu zur ten ter te af av "
    "al el bin ben st san d v 't in't "
)
"""Particles of surnames."""

LOWER_AUTHORS = _words(
    "adans aiton ait andr andrews arn aubl auct auctt baill bailey baker beauv bedd benth "
    "berg bl blume boiss boj bojer br burm cav cham choisy clarke cogn cunn dalz dc desf "
    "diels domin don dum dumort endl engl fisch fischer forsk forssk forst franch fresen "
    "gaertn gamb gamble gaud gmel graham gray greene griff griseb haines hall hallier ham "
    "harv hassk haw hbk herb heyne hiern hk hochst hoffm hoffmanns hook hort houtt jack jacq "
    "juss ker klotzsch koch koehne koenig krapov kuntze kunth kurz l labill lam lamk less "
    "lehm lin lind linden lindl link linn lour mart masters mast maxim meisn merr mey mill "
    "millsp miq moench moon moq muell murr naud nees nutt pav pers perr phil planch poir poit "
    "pursh rbr reichb reinw retz rich rosc roscoe roth rottl roxb royle royen salisb sav "
    "schauer schltr schltdl schlecht schott schrad schreb schult schum seem sims sm smith "
    "sond spach spreng standl steud stapf swartz sw sweet thou thunb thw thwaites trin turcz "
    "urb urban vahl vent vidal voigt wall walp warb wendl wight willd wt zenk zoll zucc "
)
"""Authors whose abbreviations are so common that they are recognised without their capital."""

LATIN_ENDING = (
    *("a", "us", "um", "is", "ii", "ae", "ense", "oides", "ans", "ens", "or", "ix", "ifera"),
    *("ifolium", "icola", "opsis"),
)
"""How epithets end, and names of authors hardly do."""
