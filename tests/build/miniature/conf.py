"""Answers a configuration anew: symbols that are unknown, or lack what they depend on, are dropped."""

import re
import sys
from pathlib import Path


def dependencies(path: Path) -> dict[str, list[str]]:
    """The symbols, each with what it depends on."""
    found: dict[str, list[str]] = {}
    name, texts = "", [path.read_text()]
    conditions: list[str] = []
    for source in re.findall(r'^source "(.+)"', texts[0], re.MULTILINE):
        texts.insert(0, (path.parent / source).read_text())
    for line in "\n".join(texts).splitlines():
        if match := re.match(r"(?:menu)?config (\w+)", line):
            name = match[1]
            found[name] = list(conditions)
        elif match := re.match(r"if (\w+)", line):
            conditions.append(match[1])
        elif line.startswith("endif"):
            conditions.pop()
        elif match := re.match(r"\tdepends on (.+)", line):
            found[name] += match[1].split(" && ")
    return found


def main() -> None:
    """As `make olddefconfig` and `make localmodconfig`."""
    target, kconfig, config, *loaded = sys.argv[1:]
    text = Path(config).read_text()
    values = dict(re.findall(r"^CONFIG_(\w+)=(.+)$", text, re.MULTILINE))
    if target == "localmodconfig":
        names = [line.split()[0].upper() for line in Path(loaded[0]).read_text().splitlines()]
        values = {name: value for name, value in values.items() if value != "m" or name in names}
    needed = dependencies(Path(kconfig))
    while dropped := [
        name for name in values if name not in needed or not values.keys() >= set(needed[name])
    ]:
        for name in dropped:
            del values[name]
    Path(config).write_text("".join(f"CONFIG_{name}={value}\n" for name, value in values.items()))


main()
