"""Made-up Latin: names for families, genera, species, authors and places.

Any likeness to a published name is chance. Some epithets describe their species truly
(*serrata*, *longifolia*), as in nature; most name an invented place or person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_HEADS = _words(
    "Vel Tar Mor Cal Syl Bren Lor Nis Quel Ost Hal Dru Fen Gal Ilv Jun Kel Lum Mar Ner Orb Pal Rhe "
    "Sar Thal Umb Var Wel Xer Yst Zan Ald Bor Cor Del Eph Gri Hesp Ist Lyc"
)
_MIDDLES = _words(
    "an or is ed ul ev ad im arg ost ell ind or in en er ath und ic eth om arr ess iv ol ubr al yr"
)
_ENDINGS = (
    ("ia", "f"),
    ("a", "f"),
    ("ella", "f"),
    ("ium", "n"),
    ("um", "n"),
    ("anthemum", "n"),
    ("us", "m"),
    ("anthus", "m"),
    ("opsis", "f"),
    ("aria", "f"),
)
_PLACES = _words(
    "norval keldar ostrav mirand selvan tarquil brumel vaskar ilmor drennan palur corvad hestan "
    "quarel lundav merul sorvan taldir ubran velter wendar yarmol zelnar arbol cindar farlan "
    "gorvel hadrin istran jarmul kolvar lemar nardun orvald pelmar ruthan skarvel tulmar vernal"
)
_PEOPLE = _words(
    "Marlind Tessaly Okstrand Harrowe Brandell Quillay Venning Dorsett Ashvale Lindmark Peverell "
    "Sorrell Tavish Ulmer Wexcombe Yarrington Zelwood Corvane Dalgren Esmond Farrowby Gaunt "
    "Hollis Iversleigh Jessamy Kestle Lorimer Mablethorn Nordahl Orchison Pellow Quartermain "
    "Rosewarne Stavely Thornquist Umbry Varley Winslade Ystad Zetter"
)
_PREFIXES = ("neo", "sub", "trans", "cis", "austro", "boreo", "pseudo")
_GENDER_ENDINGS = {"f": ("a", "is"), "m": ("us", "is"), "n": ("um", "e")}


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """Returns one of the choices; much faster than `rng.choice` on text."""
    return choices[int(rng.integers(len(choices)))]


def agree(stem: str, gender: str) -> str:
    """Gives an adjective the gender of its genus: `serrat-` and `n` make `serratum`.

    Stems that end in `-` take the third declension (`gracil-` and `n` make `gracile`).
    """
    first, third = _GENDER_ENDINGS[gender]
    return stem[:-1] + third if stem.endswith("-") else stem + first


def genus_names(rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Yields distinct genus names with their stem and gender, without end."""
    spelt = {
        head + middle + ending: (head + middle, ending, gender)
        for head in _HEADS
        for middle in _MIDDLES
        for ending, gender in _ENDINGS
    }
    names = list(spelt)
    rng.shuffle(names)
    for name in names:
        stem, _, gender = spelt[name]
        if stem[-3:] not in (stem[:3].lower(), "ost"):  # Ostost-, and Velostum, jar on the ear
            yield name, stem, gender
    # Beyond eleven thousand genera two heads are joined; nothing asks for that many today.
    for first in _HEADS:
        for name in names:
            stem, ending, gender = spelt[name]
            yield first + stem.lower() + ending, first + stem.lower(), gender


def epithets(gender: str, fitting: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Yields epithets for one species, the likely ones first.

    Args:
        gender: `f`, `m` or `n`, that of the genus.
        fitting: adjective stems that describe the species truly.
        rng: decides between a description, a place and a person.
    """
    kind = rng.random()
    if fitting and kind < 0.4:
        yield agree(pick(fitting, rng), gender)
    if kind < 0.8:
        yield agree(pick(_PLACES, rng) + "ens-", gender)
    while True:
        person = pick(_PEOPLE, rng).lower()
        if rng.random() < 0.5:
            yield person + ("i" if person.endswith("er") else "ii")
        yield agree(f"{person}ian", gender)
        yield agree(pick(_PREFIXES, rng) + pick(_PLACES, rng) + "ens-", gender)


def author(rng: np.random.Generator) -> str:
    """Returns the authorship of a name, such as `(Harrowe) Venning & Gaunt`."""
    first, second, third = (str(person) for person in rng.choice(_PEOPLE, 3, replace=False))
    kind = rng.random()
    if kind < 0.55:
        return first
    if kind < 0.75:
        return f"{first} & {second}"
    return f"({third}) {first}"


def collectors() -> list[str]:
    """Returns the people who gather and name specimens, as labels print them."""
    initials = "ABCDEFGHJKLMNOPRSTVW"
    return [f"{initials[(7 * i) % len(initials)]}. {p}" for i, p in enumerate(_PEOPLE)]
