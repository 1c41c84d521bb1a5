"""The body plans that families of plants share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The body plan that a family shares, with what its genera may choose from."""

    habit: str
    arrangement: str
    division: str
    blades: tuple[str, ...]
    inflorescences: tuple[str, ...]
    flowers: tuple[str, ...]
    nodes: tuple[int, int]
    length: tuple[float, float]
    leaflets: tuple[int, int] = (0, 0)
    petiole: tuple[float, float] = (0.05, 0.35)


_BROAD = ("ovate", "elliptic", "obovate", "orbicular", "cordate", "rhombic")
_NARROW = ("lanceolate", "oblong", "linear", "elliptic", "ovate")
_OPEN = ("rotate", "star", "bell")

PLANS = (
    Plan(
        "tree",
        "alternate",
        "simple",
        _BROAD,
        ("raceme", "axillary", "umbel"),
        _OPEN,
        (5, 9),
        (0.2, 0.38),
    ),
    Plan(
        "herb",
        "opposite",
        "simple",
        (*_NARROW, "cordate", "deltoid"),
        ("spike", "head", "axillary", "panicle"),
        ("lipped", "bell", "rotate"),
        (4, 8),
        (0.14, 0.3),
        petiole=(0.0, 0.25),
    ),
    Plan(
        "rosette",
        "basal",
        "simple",
        ("spathulate", "orbicular", "obovate", "oblong", "reniform", "cordate"),
        ("umbel", "spike", "solitary", "head"),
        ("rotate", "star", "bell", "daisy"),
        (6, 11),
        (0.3, 0.48),
        petiole=(0.1, 0.9),
    ),
    Plan(
        "herb",
        "alternate",
        "pinnate",
        ("elliptic", "lanceolate", "obovate", "ovate", "linear"),
        ("raceme", "umbel", "panicle", "spike"),
        ("lipped", "rotate", "star"),
        (4, 7),
        (0.26, 0.42),
        leaflets=(3, 8),
    ),
    Plan(
        "tree",
        "alternate",
        "simple",
        ("trilobed", "palmately lobed", "deeply palmate"),
        ("raceme", "umbel", "panicle"),
        ("tuft", "rotate", "star"),
        (4, 7),
        (0.24, 0.4),
        petiole=(0.3, 0.7),
    ),
    Plan(
        "tussock",
        "basal",
        "simple",
        ("grassy",),
        ("spike", "panicle", "umbel", "solitary"),
        ("star", "tuft", "rotate"),
        (6, 14),
        (0.5, 0.9),
        petiole=(0.0, 0.0),
    ),
    Plan(
        "fern",
        "basal",
        "pinnate",
        ("oblong", "lanceolate", "linear", "pinnately lobed"),
        ("none",),
        ("none",),
        (2, 4),
        (0.8, 1.0),
        leaflets=(7, 14),
    ),
    Plan(
        "climber",
        "alternate",
        "simple",
        ("cordate", "hastate", "deltoid", "trilobed", "reniform"),
        ("axillary", "umbel", "solitary"),
        ("bell", "star", "rotate"),
        (6, 10),
        (0.18, 0.32),
        petiole=(0.35, 0.8),
    ),
    Plan(
        "herb",
        "whorled",
        "simple",
        ("linear", "lanceolate", "elliptic", "obovate"),
        ("panicle", "solitary", "raceme", "umbel"),
        ("star", "bell", "rotate"),
        (4, 8),
        (0.14, 0.26),
        petiole=(0.0, 0.05),
    ),
    Plan(
        "tree",
        "alternate",
        "simple",
        ("pinnately lobed", "rhombic", "obovate", "elliptic"),
        ("spike", "axillary"),
        ("tuft",),
        (5, 8),
        (0.24, 0.38),
        petiole=(0.05, 0.25),
    ),
    Plan(
        "herb",
        "alternate",
        "trifoliate",
        ("obovate", "elliptic", "cordate", "rhombic", "lanceolate"),
        ("head", "raceme", "solitary"),
        ("lipped", "rotate"),
        (5, 8),
        (0.26, 0.38),
        leaflets=(3, 3),
        petiole=(0.4, 0.9),
    ),
    Plan(
        "rosette",
        "basal",
        "simple",
        ("runcinate", "pinnately lobed", "spathulate", "lanceolate"),
        ("solitary", "panicle", "umbel"),
        ("daisy",),
        (6, 11),
        (0.32, 0.5),
        petiole=(0.05, 0.3),
    ),
    Plan(
        "tree",
        "opposite",
        "simple",
        (*_BROAD, "lanceolate"),
        ("panicle", "raceme", "axillary"),
        _OPEN,
        (4, 7),
        (0.2, 0.36),
    ),
    Plan(
        "herb",
        "alternate",
        "digitate",
        ("obovate", "lanceolate", "elliptic", "linear"),
        ("raceme", "spike", "solitary"),
        ("lipped", "rotate"),
        (4, 7),
        (0.28, 0.4),
        leaflets=(5, 9),
        petiole=(0.6, 1.1),
    ),
    Plan(
        "herb",
        "alternate",
        "simple",
        (*_NARROW, "hastate", "cordate"),
        ("raceme", "solitary", "panicle", "head"),
        ("daisy", "bell", "rotate"),
        (6, 12),
        (0.14, 0.3),
        petiole=(0.0, 0.3),
    ),
    Plan(
        "tree",
        "alternate",
        "pinnate",
        ("elliptic", "lanceolate", "ovate", "oblong"),
        ("panicle", "raceme", "axillary"),
        ("lipped", "star", "rotate"),
        (3, 6),
        (0.34, 0.5),
        leaflets=(3, 8),
    ),
)
"""Body plans in the order in which the families of a small flora draw from them, shuffled."""
