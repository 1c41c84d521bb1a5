"""Scientific names of plants as people write them, to the name itself and who published it.

The rules are those of the International Code of Nomenclature (https://www.iapt-taxon.org/nomen/):
ranks below species are written out, `×` marks a hybrid, and of several infraspecific ranks only the
last belongs to the name (Art. 24). What cannot be read with certainty is reported, not guessed.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

from herbzoo.name_words import (
    CONNECTORS,
    LATIN_ENDING,
    LOWER_AUTHORS,
    NO_NAMES,
    OPEN_NAMES,
    PARTICLES,
    RANKS,
    SECTIONS,
)

CACHED = 1 << 18
"""Distinct texts whose parse is remembered: a collection repeats each name many times."""

_LETTERS = "a-zß-öø-ÿœ"
_CAPITALS = "A-ZÀ-ÖØ-ÞŒ"
_PLAIN = re.compile(r"([A-Z][a-z]{2,}) ([a-z]{4,})")
_GENUS = re.compile(rf"[{_CAPITALS}][{_LETTERS}]+(?:-[{_CAPITALS}{_LETTERS}]+)?")
_EPITHET = re.compile(rf"[{_LETTERS}](?:[{_LETTERS}'’-]*[{_LETTERS}])")
_MOJIBAKE = re.compile(
    r"[ÃÂ][\u0080-\u00bf\u0152-\u0178\u0192\u02c6\u02dc\u2013-\u2122]|â€|ï¿½|\ufffd"
)
_LOST_LETTER = re.compile(rf"[{_LETTERS}{_CAPITALS}]\?[{_LETTERS}]")
_CLASS_NUMBER = re.compile(r"\d+\s*[;:,.|_\s-]\s*(?=[^\W\d_]{2}|[×+])")
_NUMBER = re.compile(r"(?:(?:class|species|taxon|label|id|n)[\s_-]*)?\d+", re.IGNORECASE)
_CULTIVAR = re.compile(
    r"(?:^|\s)(?:cv\.?\s+['‘]?(?P<cv>[^'’]+)['’]?$"
    r"|['‘\"“](?P<quoted>[^\Wa-z_][^'’\"”]*)['’\"”](?=\s|$))"
)
_CONCEPT = re.compile(
    r"[\s,(\[]+(agg\.?|aggr\.?|aggregate|s\.\s?l\.?|s\.\s?lat\.?|sensu lato|s\.\s?str\.?|s\.\s?s\."
    r"|sensu stricto|complex|ined\.?)[)\]]?(?=\s|$)"
)
_UNSURE = re.compile(r"(?:^|\s)(cf|cfr|aff)(?:\.\s*|\s+)(?=\S)")
_NOTE = re.compile(
    r"[\s,;(\[]+(?:(?:nom|comb|stat|orth|hom)\.\s*(?:[a-z]+\.?\s?(?:&\s)?)+"
    r"|p\.\s?p\.|pro parte)[)\]]?$"
)
_YEAR = re.compile(r"[(\[]?1[5-9]\d\d[a-z]?[)\],;]*|[(\[]?20\d\d[a-z]?[)\],;]*")
_TAG = re.compile(r"</?[a-zA-Z]+>")


@dataclass(frozen=True)
class ParsedName:
    """A text taken apart."""

    text: str
    """What was parsed."""
    name: str = ""
    """Without authorship or qualifier: `Quercus alba var. repanda`; '' if there is none."""
    genus: str = ""
    authorship: str = ""
    """Who published the name, at its lowest rank; '' where nobody is given."""
    qualifier: str = ""
    """What makes it less or more than the plain name: `cf.`, `sp.`, `agg.`, a cultivar."""
    problem: str = ""
    """Why the text does not parse, in one line; '' if it does."""


@lru_cache(maxsize=CACHED)
def parse_name(text: str) -> ParsedName:
    """Takes a scientific name apart.

    `QUERCUS ALBA`, `quercus_alba` and `12 Quercus alba` are all read as `Quercus alba`. Names of
    hybrids come as `Rosa × damascena`, formulae as `Salix alba × Salix fragilis`. Spelling is
    never corrected.

    Args:
        text: a name with or without its authors, as it stands on a label or in a table.

    Returns:
        Its parts. With a `problem`, the other parts are at most a hint.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and plain[2].rstrip("s") not in OPEN_NAMES and plain[1].lower() not in NO_NAMES:
        return ParsedName(text, text, plain[1])
    clean = _clean(text)
    problem = _refusal(clean)
    if problem:
        return ParsedName(text, problem=problem)
    qualifiers: list[str] = []
    clean = _take_qualifiers(clean, qualifiers)
    try:
        reading = _Reading(_capitalised(clean).split())
    except _Unreadable as reason:
        return ParsedName(text, qualifier=" ".join(qualifiers), problem=str(reason))
    parsed = ParsedName(text, reading.name(), reading.genus, reading.written_authorship())
    return replace(parsed, qualifier=" ".join([*reading.qualifiers, *qualifiers]))


class _Unreadable(Exception):
    """Why a text is no name that can be read; never leaves this module."""


def _clean(text: str) -> str:
    clean = unicodedata.normalize("NFC", text)
    if "<" in clean or "&" in clean:
        clean = html.unescape(_TAG.sub("", clean))
    clean = " ".join(clean.replace("_", " ").split())
    return _CLASS_NUMBER.sub("", clean, count=1) if clean[:1].isdigit() else clean


def _refusal(clean: str) -> str:
    if not clean or clean.lower().strip(" .?-") in NO_NAMES:
        return "it holds no name" if clean else "it is empty"
    if _NUMBER.fullmatch(clean):
        return "it is a number, not a name"
    broken = _MOJIBAKE.search(clean) or _LOST_LETTER.search(clean)
    if broken:
        return f"{broken[0]!r} is text that was decoded with the wrong encoding"
    return ""


def _take_qualifiers(clean: str, qualifiers: list[str]) -> str:
    """Cuts out what does not belong to the name, wherever it stands, and lists it."""
    cultivar = _CULTIVAR.search(clean)
    if cultivar:
        qualifiers.append(f"'{(cultivar['cv'] or cultivar['quoted']).strip()}'")
        clean = clean[: cultivar.start()] + clean[cultivar.end() :]
    if "?" in clean:
        qualifiers.append("?")
        clean = clean.replace("?", " ")
    for pattern in (_UNSURE, _CONCEPT):
        for found in pattern.finditer(clean):
            word = found[1].replace(" ", "") if "." in found[1] else found[1]
            qualifiers.append(word if "." in word or " " in word else f"{word}.")
        clean = pattern.sub(" ", clean)
    clean = _NOTE.sub("", clean)
    clean = re.sub(r"\s*([×])\s*", r" \1 ", clean)
    clean = re.sub(r"([(\[])\s+", r"\1", clean)
    clean = re.sub(r"\s+([)\]])", r"\1", clean)
    clean = re.sub(r"\)(?=[^\s.,;)\]])", ") ", clean)
    clean = re.sub(rf"(?<=[{_LETTERS}.])\(", " (", clean)
    # `Eriocaulon.sp`, `Mimosa.pudica`, `acuminata.linn`: a full stop in place of a space.
    clean = re.sub(rf"^(\W*[{_CAPITALS}{_LETTERS}]{{3,}})\.(?=[{_LETTERS}]{{2}})", r"\1 ", clean)
    return " ".join(clean.split())


def _capitalised(clean: str) -> str:
    """Gives a name in capitals, or one without any, the capitals it should have."""
    words = clean.split(" ")
    first = 1 if words[0] in ("×", "+", "x", "X") and len(words) > 1 else 0
    word = words[first]
    if word.isalpha() and len(word) > 2 and (word.isupper() or word.islower()):
        words[first] = word.capitalize()
        if word.isupper() and clean == clean.upper():
            low = [other.lower() for other in words]
            after_rank = {i + 1 for i, other in enumerate(low) if other.rstrip(".") in RANKS}
            for i in range(first + 1, len(words)):
                epithet = words[i].replace("-", "").isalpha() and len(words[i]) > 2
                if (i == first + 1 and epithet) or low[i].rstrip(".") in RANKS or i in after_rank:
                    words[i] = low[i]
    return " ".join(words)


class _Reading:
    """Reads the words of a name from left to right."""

    def __init__(self, words: list[str], genus_before: str = "") -> None:
        self.words = words
        self.at = 0
        self.hybrid = self._take_sign()
        self.genus = self._take_genus(genus_before)
        self.epithets = ""
        self.rank = ""
        self.authors: list[str] = []
        self.qualifiers: list[str] = []
        self.formula = ""
        self._take_species()
        while self.at < len(words):
            self._take_next()
        self._check_brackets()

    def name(self) -> str:
        """Returns the name without authorship."""
        sign = f"{self.hybrid} " if self.hybrid else ""
        own = f"{sign}{self.genus}{self.epithets}"
        return f"{own} × {self.formula}" if self.formula else own

    def written_authorship(self) -> str:
        """Returns the authors with single spaces; a formula has none of its own."""
        return "" if self.formula else " ".join(self.authors).strip(" ,;:.-") + self._last_stop()

    def _last_stop(self) -> str:
        last = self.authors[-1].rstrip(" ,;:-") if self.authors else ""
        return "." if last.endswith(".") and last.strip(".") else ""

    def _peek(self, ahead: int = 0) -> str:
        position = self.at + ahead
        return self.words[position] if position < len(self.words) else ""

    def _take_sign(self) -> str:
        word = self._peek()
        if word in ("×", "x", "X", "+") and self._peek(1):
            self.at += 1
            return "+" if word == "+" else "×"
        return ""

    def _take_genus(self, genus_before: str) -> str:
        word = self._peek()
        initial = re.fullmatch(rf"([{_CAPITALS}])[{_LETTERS}]?\.", word)
        if initial and genus_before.startswith(initial[1]):
            word = genus_before
        elif initial:
            raise _Unreadable(f"the genus is abbreviated to {word!r}")
        elif genus_before and _EPITHET.fullmatch(word):
            return genus_before
        elif not _GENUS.fullmatch(word.rstrip(".,")):
            raise _Unreadable(f"{word!r} is not how a genus is written")
        self.at += 1
        return word.rstrip(".,")

    def _take_species(self) -> None:
        """Reads what stands between the genus and the first author."""
        word, after = self._peek(), self._peek(1)
        if re.fullmatch(rf"\([{_CAPITALS}][{_LETTERS}]+\)", word) and _is_epithet(after):
            self.at += 1  # the subgenus, which is no part of the name
            word, after = after, self._peek(2)
        if word in ("×", "x", "X") and _is_epithet(after):
            self.epithets = f" × {after.rstrip('.,')}"
            self.at += 2
        elif word.lower().rstrip(".") in SECTIONS and _GENUS.fullmatch(after):
            self.epithets = f" {SECTIONS[word.lower().rstrip('.')]} {after}"
            self.at += 2
        elif word.partition(".")[0].lower() in OPEN_NAMES and not _GENUS.fullmatch(word):
            self.qualifiers.append(" ".join(self.words[self.at :]))
            self.at = len(self.words)
        elif not _is_author_in_lower_case(word, after):
            epithet, stop, rest = word.rstrip(".,").partition(".")
            if not (_EPITHET.fullmatch(epithet) and epithet not in RANKS):
                return
            self.epithets = f" {epithet}"
            self.at += 1
            if stop and rest:
                self.words.insert(self.at, rest)

    def _take_next(self) -> None:
        word, after = self._peek(), self._peek(1)
        rank, _, glued = word.partition(".")
        if rank.istitle() and len(rank) > 1:  # `Var. alba`; but `F.Weber` is a person
            rank = rank.lower()
        if word in ("×", "x", "X") and after:
            rest = _Reading(self.words[self.at + 1 :], self.genus)
            self.formula = rest.name()
            self.qualifiers += rest.qualifiers
            self.at = len(self.words)
        elif rank in RANKS and not self._is_son(rank, glued or after):
            epithet = (glued or after).strip(".,")
            if not _EPITHET.fullmatch(epithet):
                raise _Unreadable(f"no epithet follows {word!r}")
            if not self.epithets:
                raise _Unreadable(f"{word!r} stands before any epithet of a species")
            self._go_below(RANKS[rank], epithet)
            self.at += 1 if glued else 2
        elif self._is_bare_epithet(word):
            self._go_below("", word)
            self.at += 1
        else:
            self._take_author(word, after)

    def _go_below(self, rank: str, epithet: str) -> None:
        """Takes the name a rank down; the ranks between are classification, not name (Art. 24)."""
        species = " ".join(self.epithets.split()[: 2 if "×" in self.epithets else 1])
        self.rank = rank or "below species"
        if epithet != species.split()[-1]:  # an autonym has no author but that of its species
            self.authors = []
        self.epithets = f" {species} {rank} {epithet}" if rank else f" {species} {epithet}"

    def _is_son(self, rank: str, after: str) -> bool:
        """Tells the `f.` of `Hook. f.`, the son, from that of a form."""
        if rank != "f":
            return False
        follows = after.strip(".,")
        return not _is_epithet(after) or follows in CONNECTORS or follows in PARTICLES

    def _is_bare_epithet(self, word: str) -> bool:
        """Whether this is a third name without its rank, as GBIF's canonical names have it."""
        alone = bool(self.epithets) and not self.authors and not self.rank
        return (
            alone
            and len(word) > 3
            and bool(_EPITHET.fullmatch(word))
            and word not in LOWER_AUTHORS
            and word.endswith(LATIN_ENDING)
        )

    def _take_author(self, word: str, after: str) -> None:
        bare = word.strip("()[],;.")
        sloppy = any(author.strip("([")[:1].islower() for author in self.authors)
        known = (
            not bare
            or bare[0].isupper()
            or _YEAR.fullmatch(word)
            or bare.rstrip(".") in CONNECTORS
            or bare == "&"
            or _is_author_in_lower_case(word, after)
            or word.startswith(("(", "[", "."))
            or (self.authors and (sloppy or self.authors[-1].strip(".") in ("&", *CONNECTORS)))
            or bare.startswith(("d'", "d’", "l'", "l’", "'t"))
        )
        if not known or (any(map(str.isdigit, bare)) and not _YEAR.fullmatch(word)):
            where = "a rank, an epithet" if self.epithets else "an epithet"
            raise _Unreadable(
                f"{word!r} is neither {where} nor an author (authors begin with a capital)"
            )
        if bare:
            self.authors.append(word.lstrip("."))
        self.at += 1

    def _check_brackets(self) -> None:
        written = " ".join(self.authors)
        if written.count("(") != written.count(")"):
            raise _Unreadable(f"a bracket of {written!r} is not closed")


def _is_epithet(word: str) -> bool:
    return bool(_EPITHET.fullmatch(word.rstrip(".,")))


def _is_author_in_lower_case(word: str, after: str) -> bool:
    """Whether a word without a capital is an author all the same: `roxb.`, `linn`, `de Vriese`."""
    bare = word.strip("()[],;").lower()
    if not bare or not bare[0].islower() or bare.rstrip(".") in RANKS:
        return False
    if bare.rstrip(".") in PARTICLES:
        return after[:1].isupper() or after.rstrip(".") in PARTICLES
    return (
        bare.rstrip(".") in LOWER_AUTHORS
        or len(bare) == 1
        or "&" in bare
        or ("." in bare and word[0].islower() and len(bare.partition(".")[0]) < 3)
    )
