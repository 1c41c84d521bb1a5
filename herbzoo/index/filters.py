"""Filters on the columns of an index, as people write them: `family = 'Fagaceae' and year > 1900`.

A filter is parsed by sqlglot, and written anew from the few kinds of condition that are known here.
Nothing of the user's text enters the database but as a column's name or a quoted value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from herbzoo.errors import HerbzooError

if TYPE_CHECKING:
    from sqlglot import exp

MOST_CHARACTERS = 100_000
"""A filter is no longer than this; a list of a few thousand names fits."""
MOST_LISTED = 30
"""Columns that an error lists."""
GRAMMAR = (
    "a filter compares columns with values: =, !=, <, <=, >, >=, in (...), like '...%', "
    "between ... and ..., is blank, joined by and, or, not and parentheses"
)
_BLANK = ("blank", "empty")


class FilterError(HerbzooError):
    """A filter that cannot be read, or names a column that is not there."""


def to_sql(where: str, columns: Sequence[str]) -> str:
    """Checks a filter and returns it as SQL for the database; '' stays ''.

    Columns are found whatever their case. Text values go in single quotes. `<`, `>` and `between`
    with a number without quotes compare numbers; every other comparison is of text, so that
    `eventDate >= '1900'` works on ISO dates. `is blank` and `is null` mean the same.

    Args:
        where: such as `family = 'Fagaceae' and institutionCode in ('NY', 'K')`.
        columns: names of the columns that may be filtered.

    Raises:
        FilterError: if it is anything else, in one line that says what.
    """
    if not where.strip():
        return ""
    if len(where) > MOST_CHARACTERS:
        raise FilterError(
            f"the filter has {len(where):,} characters, and {MOST_CHARACTERS:,} is the most: "
            "search several times with a part of it each"
        )
    try:
        return _sql(_Writer(columns).condition(_parsed(where)))
    except RecursionError as error:
        raise FilterError(
            "the filter is nested too deeply: use in (...) in place of a chain of or"
        ) from error


def known_column(name: str, columns: Sequence[str]) -> str:
    """Finds a column whatever its case.

    Raises:
        FilterError: if there is none; the message says which are near.
    """
    if name in columns:
        return name
    alike = [column for column in columns if column.casefold() == name.casefold()]
    if len(alike) == 1:
        return alike[0]
    near = alike or difflib.get_close_matches(name, columns, 3, 0.5)
    shown = ", ".join(columns[:MOST_LISTED]) + (", ..." if len(columns) > MOST_LISTED else "")
    there = f"did you mean {' or '.join(near)}?" if near else f"it has {shown}"
    raise FilterError(f"the index has no column {_short(name)}: {there}")


def quoted(value: str) -> str:
    """Returns a text as a filter has it: in single quotes, those inside doubled."""
    return "'" + value.replace("'", "''") + "'"


def narrowed(where: str, *conditions: str) -> str:
    """Returns a filter, as somebody wrote it or blank, with further comparisons to be fulfilled."""
    return " and ".join([f"({where})"] * bool(where.strip()) + [one for one in conditions if one])


def one_of(column: str, values: Iterable[str]) -> str:
    """Returns the SQL of a column having one of some values of text."""
    from sqlglot import exp

    texts = [exp.Literal.string(value) for value in values]
    return _sql(exp.In(this=_quoted(column), expressions=texts))


def none_of(column: str, values: Iterable[str]) -> str:
    """Returns the SQL of a column having none of some values of text."""
    return f"NOT ({one_of(column, values)})"


def both(one: str, other: str) -> str:
    """Returns the SQL of two conditions together, either of which may be ''."""
    return f"({one}) AND ({other})" if one and other else one or other


def _parsed(where: str) -> exp.Expr:
    """Parses the text of a filter; comments and further statements are refused."""
    glot = _sqlglot()
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tokens = glot.tokenize(where)
        if any(token.comments for token in tokens):
            raise FilterError(f"the filter holds a comment (-- or /* */): {GRAMMAR}")
        if any(token.token_type.name == "SEMICOLON" for token in tokens):
            raise FilterError(f"the filter holds a semicolon: {GRAMMAR}")
        return glot.parse_one(where, into=exp.Condition)
    except SqlglotError as error:
        raise FilterError(f"the filter {_short(where)} cannot be read: {GRAMMAR}") from error


class _Writer:
    """Writes conditions anew, in terms of the columns there are."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def condition(self, node: Any) -> exp.Expr:
        """Returns the condition that a node stands for."""
        from sqlglot import exp

        if isinstance(node, exp.Paren):
            return exp.Paren(this=self.condition(node.this))
        if isinstance(node, exp.Not):
            return exp.Not(this=exp.Paren(this=self.condition(node.this)))
        if isinstance(node, exp.And | exp.Or):
            sides = (self.condition(node.left), self.condition(node.right))
            return type(node)(this=sides[0], expression=sides[1])
        found = self._comparison(node)
        return exp.Not(this=exp.Paren(this=found)) if node.args.get("negate") else found

    def _comparison(self, node: Any) -> exp.Expr:
        from sqlglot import exp

        if isinstance(node, exp.EQ | exp.NEQ):
            column, value = self._sides(node)
            return type(node)(this=column, expression=_text(value))
        if isinstance(node, exp.LT | exp.LTE | exp.GT | exp.GTE):
            column, value = self._sides(node)
            kind = type(node) if isinstance(node.this, exp.Column) else _mirrored(node)
            return kind(this=_as_number(column, value), expression=_plain(value))
        if isinstance(node, exp.Between):
            low, high = self._value(node.args["low"]), self._value(node.args["high"])
            if low.is_string != high.is_string:
                raise FilterError("between takes two numbers, or two texts in single quotes")
            column = _as_number(self._column(node.this), low)
            return exp.Between(this=column, low=_plain(low), high=_plain(high))
        if isinstance(node, exp.In) and node.expressions and not node.args.get("query"):
            values = [_text(self._value(value)) for value in node.expressions]
            return exp.In(this=self._column(node.this), expressions=values)
        if isinstance(node, exp.Like | exp.ILike):
            value = self._value(node.expression)
            return type(node)(this=self._column(node.this), expression=_text(value))
        if isinstance(node, exp.Is) and _is_blank(node.expression):
            column = self._column(node.this)
            empty = exp.EQ(this=column, expression=exp.Literal.string(""))
            null = exp.Is(this=column.copy(), expression=exp.Null())
            return exp.Paren(this=exp.Or(this=empty, expression=null))
        raise FilterError(f"{_short(node.sql())} is nothing a filter can hold: {GRAMMAR}")

    def _sides(self, node: Any) -> tuple[exp.Expr, exp.Literal]:
        """Returns the column and the value of a comparison, written in either order."""
        from sqlglot import exp

        if isinstance(node.this, exp.Literal) and isinstance(node.expression, exp.Column):
            return self._column(node.expression), self._value(node.this)
        return self._column(node.this), self._value(node.expression)

    def _column(self, node: Any) -> exp.Expr:
        from sqlglot import exp

        if not isinstance(node, exp.Column) or len(node.parts) != 1:
            raise FilterError(f"{_short(node.sql())} is no column: {GRAMMAR}")
        return _quoted(known_column(node.name, self._columns))

    def _value(self, node: Any) -> exp.Literal:
        """Returns a value; the sign of a number becomes part of it."""
        from sqlglot import exp

        if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
            return exp.Literal(this=f"-{node.this.name}", is_string=False)
        if isinstance(node, exp.Literal):
            return node
        if isinstance(node, exp.Column):
            raise FilterError(
                f"{_short(node.sql())} is not in single quotes, so it would be a column: "
                f"write '{_short(node.name)}'"
            )
        raise FilterError(f"{_short(node.sql())} is no value: {GRAMMAR}")


def _mirrored(node: Any) -> Any:
    from sqlglot import exp

    return {exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE}[type(node)]


def _text(value: exp.Literal) -> exp.Literal:
    from sqlglot import exp

    return exp.Literal.string(value.name)


def _plain(value: exp.Literal) -> exp.Literal:
    """Returns a literal without anything else that the parser hung on it."""
    from sqlglot import exp

    return exp.Literal(this=value.name, is_string=value.is_string)


def _as_number(column: exp.Expr, value: exp.Literal) -> exp.Expr:
    """Reads a column of text as numbers, if the value is one; text that is none never fits."""
    from sqlglot import exp

    if value.is_string:
        return column
    return exp.TryCast(this=column, to=exp.DataType.build("double"))


def _is_blank(node: Any) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Column):
        return node.name.casefold() in _BLANK
    return isinstance(node, exp.Null) or (isinstance(node, exp.Literal) and node.name == "")


def _quoted(column: str) -> exp.Expr:
    _sqlglot()
    from sqlglot import exp

    return exp.Column(this=exp.Identifier(this=column, quoted=True))


def _sql(condition: exp.Expr) -> str:
    return condition.sql(dialect=_dialect())


@cache
def _dialect() -> Any:
    """Returns how LanceDB writes SQL: it takes a name in double quotes for a text."""
    from sqlglot import tokens
    from sqlglot.dialects.dialect import Dialect

    class LanceFilter(Dialect):
        class Tokenizer(tokens.Tokenizer):
            IDENTIFIERS: ClassVar = ["`"]

    return LanceFilter


def _sqlglot() -> Any:
    try:
        import sqlglot
    except ImportError as error:
        raise HerbzooError('filters need sqlglot: pip install "herbzoo[search]"') from error
    return sqlglot


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 60 else f"{one_line[:57]}..."
