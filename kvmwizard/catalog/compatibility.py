"""The table of what builds with what, and of what helps (assets/compatibility.toml)."""

import re
import tomllib
from functools import cache
from string import Formatter
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kvmwizard.catalog.conditions import check_condition
from kvmwizard.catalog.sources import Project
from kvmwizard.packages.ranges import in_range, in_series_from
from kvmwizard.resources import asset_path


def _pattern(text: str) -> str:
    re.compile(text)
    return text


Sentence: TypeAlias = Annotated[str, Field(min_length=1)]
Condition: TypeAlias = Annotated[str, AfterValidator(check_condition)]


class CompatibilityModel(BaseModel):
    """The base of the table's entries: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RemedyEntry(CompatibilityModel):
    """Something the person may agree to; see the data file for the meaning of each key."""

    id: str
    title: Sentence
    why: Sentence
    make_variables: dict[str, str] = {}
    patches: tuple[str, ...] = ()
    shims: tuple[str, ...] = ()
    symbols: dict[str, str] = {}
    python2: bool = False
    source: str


class Rule(CompatibilityModel):
    """What goes wrong, and when; see the data file for the meaning of each key."""

    id: str
    project: Project
    first: Annotated[str | None, Field(alias="from")] = None
    end: Annotated[str | None, Field(alias="to")] = None
    fixed: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    tools: dict[str, Condition] = {}
    remedies: tuple[str, ...] = ()
    other_toolchain: bool = False
    words: Sentence
    failure: Sentence | None = None
    symptom: Annotated[str, AfterValidator(_pattern)] | None = None
    source: str

    @model_validator(mode="after")
    def _explains_a_log_without_tools(self) -> Self:
        """A log is read where nobody asked for the tools' versions."""
        places = {name for _, name, _, _ in Formatter().parse(self.failure or self.words) if name}
        if self.symptom is not None and not places <= {"version"}:
            raise ValueError(f"{self.id}: a failure that names tools: {sorted(places)}")
        return self

    def is_for(self, project: Project, version: str) -> bool:
        """Whether it is about this version. Raises ValueError for what is no version."""
        return (
            project == self.project
            and in_range(version, self.first, self.end)
            and not any(in_series_from(version, release) for release in self.fixed)
        )


class Compatibility(CompatibilityModel):
    """The whole table."""

    remedy: tuple[RemedyEntry, ...]
    rule: tuple[Rule, ...]


@cache
def compatibility() -> Compatibility:
    """The table as shipped."""
    text = asset_path("compatibility.toml").read_text(encoding="utf-8")
    return Compatibility.model_validate(tomllib.loads(text))


def remedy_entry(remedy: str) -> RemedyEntry:
    """The remedy of that id. Raises KeyError where there is none."""
    for entry in compatibility().remedy:
        if entry.id == remedy:
            return entry
    raise KeyError(remedy)
