"""Extracts what people read into the template for translators: python -m tests.words."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

import kvmwizard
from kvmwizard.catalog.compatibility import compatibility
from kvmwizard.resources import asset_path

KEYWORDS = {"_": None, "say": None, "say_many": (1, 2)}
TEMPLATE = "locale/kvmwizard.pot"
OF_ARGPARSE = (
    "%(prog)s: error: %(message)s\n",
    "argument %(argument_name)s: %(message)s",
    "expected one argument",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "not allowed with argument %s",
    "options",
    "positional arguments",
    "show this help message and exit",
    "unrecognized arguments: %s",
    "usage: ",
)
"""What the standard library says to those who use the command line; it differs little between versions."""


def extracted() -> Catalog:
    """Every sentence of the engine and the screens, with the files that say it."""
    catalogue = Catalog(project="kvmwizard", version=kvmwizard.__version__, charset="utf-8")
    engine = Path(kvmwizard.__file__).parent
    for package in (engine, engine.parent / "screens"):
        found = extract_from_dir(package, method_map=[("**.py", "python")], keywords=KEYWORDS)
        for name, _line, message, comments, context in found:
            location = (f"{package.name}/{name}", 0)
            catalogue.add(message, locations=[location], auto_comments=comments, context=context)
    for sentence in OF_ARGPARSE:
        catalogue.add(sentence, locations=[("argparse.py", 0)])
    for sentence in _of_the_table():
        catalogue.add(sentence, locations=[("assets/compatibility.toml", 0)])
    return catalogue


def _of_the_table() -> Iterator[str]:
    """What assets/compatibility.toml says to people."""
    for remedy in compatibility().remedy:
        yield from (remedy.title, remedy.why)
    for rule in compatibility().rule:
        yield from (rule.words, *((rule.failure,) if rule.failure else ()))


def template_text(catalogue: Catalog) -> str:
    """The template as stored: without line numbers and dates, so that it changes only with the words."""
    buffer = BytesIO()
    write_po(buffer, catalogue, omit_header=True, include_lineno=False, sort_output=True, width=100)
    return buffer.getvalue().decode()


if __name__ == "__main__":
    path = asset_path(TEMPLATE)
    path.parent.mkdir(exist_ok=True)
    path.write_text(template_text(extracted()))
