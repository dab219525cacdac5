"""What a person reads: sentences with named places, translated when they are shown.

The engine says a sentence once, as `Words`, in English with named places; the
front ends turn it into text in the reader's language with `str()`. What a
program reads (JSON, the journal, logs) takes `Words.english`, so that output is
the same under every locale.

Babel extracts the first argument of `say` and `_`, and the first two of
`say_many` (`make words`).
"""

import gettext
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Union

from kvmwizard.resources import asset_path

DOMAIN = "kvmwizard"
"""What our catalogues are called (gettext(3))."""

PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""Not `str.format`: sentences are read from files as well, and there a flipped bit must not make a fault,
nor a hostile hand a width of gigabytes or a way into our objects.
"""

Place = Union[str, int, float, "Words"]
"""What may stand in a named place; words in it are translated with the sentence around them."""


@dataclass(frozen=True)
class Words:
    """One sentence: an English template and what stands in its named places.

    A plain dataclass, since the wizard's first frame needs words and must not
    wait for pydantic; in models, pydantic validates it as one of its own.

    `plural` and `count` are set together: `plural` is the template for every
    count but one, and `count` is itself available as the place `{count}`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    template: str
    places: dict[str, Place] = field(default_factory=dict)
    plural: str | None = None
    count: int | None = None

    @property
    def english(self) -> str:
        """The sentence as written in the source, its places filled."""
        template = self.template if self.plural is None or self.count == 1 else self.plural
        places = {
            name: place.english if isinstance(place, Words) else place for name, place in self.places.items()
        }
        return self._filled(template, places)

    def __str__(self) -> str:
        """The sentence in the reader's language."""
        translations = reader_translations()
        if self.plural is not None and self.count is not None:
            template = translations.ngettext(self.template, self.plural, self.count)
        else:
            # gettext("") answers with the catalogue's header.
            template = translations.gettext(self.template) if self.template else ""
        return self._filled(template, self.places)

    def _filled(self, template: str, places: Mapping[str, Place]) -> str:
        if self.count is not None:
            places = {**places, "count": self.count}
        return PLACE.sub(lambda found: str(places[found[1]]) if found[1] in places else found[0], template)


@cache
def reader_translations() -> gettext.NullTranslations:
    """The catalogue for LANGUAGE, LC_ALL, LC_MESSAGES or LANG; English where there is none."""
    return gettext.translation(DOMAIN, localedir=asset_path("locale"), fallback=True)


def translate_argparse() -> None:
    """Let argparse find its own sentences in our catalogue: it looks them up in the current domain."""
    gettext.bindtextdomain(DOMAIN, str(asset_path("locale")))
    gettext.textdomain(DOMAIN)


def say(template: str, **places: Place) -> Words:
    """A sentence for later: `say("{path} is missing", path="/dev/kvm")`."""
    return Words(template=template, places=places)


def say_many(singular: str, plural: str, count: int, **places: Place) -> Words:
    """A sentence whose form depends on a number, which is its place `{count}`."""
    return Words(template=singular, plural=plural, count=count, places=places)


def _(template: str, **places: Place) -> str:
    """The sentence in the reader's language, at once; for labels that stay as they are."""
    return str(say(template, **places))
