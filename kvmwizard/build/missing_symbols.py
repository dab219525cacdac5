"""What became of the symbols that were asked for, and what kept those from it that are missing. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kvmwizard.build.kconfig import LEVELS, Definition, Kconfig, level_of, parts_of
from kvmwizard.words import Words, say

MOST_STEPS = 6
"""From one dependency to the next, until the one that a person can do something about."""
MOST_SELECTORS = 6


@dataclass(frozen=True)
class MissingSymbol:
    """A symbol that is not as it was asked for."""

    name: str
    wanted: str
    got: str
    why: Words


def unsatisfied(wanted: Mapping[str, str], got: Mapping[str, str]) -> dict[str, str]:
    """Of the symbols wanted those that are not as wanted; m is content with y.

    Args:
        wanted: without CONFIG_: y, m, n or a text in quotation marks.
        got: the symbols that are set in the final .config.
    """
    return {
        name: value
        for name, value in wanted.items()
        if (found := got.get(name, "n")) != value and not (value == "m" and found == "y")
    }


def missing_symbols(
    unmet: Mapping[str, str], got: Mapping[str, str], kconfig: Kconfig
) -> tuple[list[MissingSymbol], list[str]]:
    """Those that exist in this version, with what blocked them, and those that do not exist in it."""
    absent = [name for name in unmet if name not in kconfig.definitions]
    missing = [
        MissingSymbol(name, value, got.get(name, "n"), why_not(name, value, got, kconfig))
        for name, value in unmet.items()
        if name in kconfig.definitions
    ]
    return missing, absent


def why_not(name: str, wanted: str, got: Mapping[str, str], kconfig: Kconfig) -> Words:
    """What kept the symbol from its value, followed to the dependency that starts it."""
    if wanted == "n":
        return _still_on(name, got, kconfig)
    symbol = name
    for _step in range(MOST_STEPS):
        blocking = _blocking(symbol, wanted if symbol == name else "m", got, kconfig)
        if len(blocking) != 1 or blocking[0] not in kconfig.definitions:
            break
        symbol = blocking[0]
    if blocking:
        return _blocked(name, symbol, blocking)
    definitions = kconfig.definitions.get(symbol, [])
    if not any(definition.prompt for definition in definitions):
        return _only_selected(name, symbol, kconfig)
    if symbol != name:
        return say(
            "{symbol} needs {dependency}, which is off. Switch that on in the configuration "
            "that this one starts from.",
            symbol=name,
            dependency=symbol,
        )
    if any(definition.in_choice for definition in definitions):
        return say("{symbol} is one of several that exclude each other, and another one is on.", symbol=name)
    return say("{symbol} was not taken, and its Kconfig file does not tell why.", symbol=name)


def _blocking(name: str, wanted: str, got: Mapping[str, str], kconfig: Kconfig) -> list[str]:
    """The conditions that do not hold, of the definition that comes nearest to holding."""
    definitions = kconfig.definitions.get(name, [])
    found = [_unmet_conditions(definition, wanted, got) for definition in _chosen_first(definitions)]
    return min(found, key=len, default=[])


def _chosen_first(definitions: Iterable[Definition]) -> list[Definition]:
    return sorted(definitions, key=lambda definition: not definition.prompt)


def _unmet_conditions(definition: Definition, wanted: str, got: Mapping[str, str]) -> list[str]:
    # For one that is on or off, a dependency that is a module is as good as one that is built in.
    needed = "m" if not definition.tristate or wanted == "m" else "y"
    parts = [part for condition in definition.conditions for part in parts_of(condition)]
    return list(dict.fromkeys(part for part in parts if LEVELS[level_of(part, got)] < LEVELS[needed]))


def _blocked(name: str, symbol: str, blocking: list[str]) -> Words:
    expression = " && ".join(f"({part})" if "||" in part else part for part in blocking)
    if symbol == name:
        return say(
            "{symbol} depends on {expression}, which does not hold.", symbol=name, expression=expression
        )
    return say(
        "{symbol} needs {dependency}, which depends on {expression}, and that does not hold.",
        symbol=name,
        dependency=symbol,
        expression=expression,
    )


def _only_selected(name: str, symbol: str, kconfig: Kconfig) -> Words:
    selectors = list(dict.fromkeys(selector.name for selector in kconfig.selectors.get(symbol, [])))
    if not selectors:
        return say(
            "{symbol} needs {dependency}, which this machine's architecture does not have.",
            symbol=name,
            dependency=symbol,
        )
    return say(
        "{symbol} needs {dependency}, which only others switch on, and none of them is on: {selectors}.",
        symbol=name,
        dependency=symbol,
        selectors=", ".join(sorted(selectors)[:MOST_SELECTORS]),
    )


def _still_on(name: str, got: Mapping[str, str], kconfig: Kconfig) -> Words:
    selectors = [
        selector.name
        for selector in kconfig.selectors.get(name, [])
        if got.get(selector.name, "n") in {"y", "m"}
    ]
    if selectors:
        return say(
            "{symbol} stays on, since these need it: {selectors}.",
            symbol=name,
            selectors=", ".join(sorted(set(selectors))[:MOST_SELECTORS]),
        )
    return say("{symbol} stays on, and its Kconfig file does not tell why.", symbol=name)
