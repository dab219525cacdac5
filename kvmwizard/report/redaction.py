"""Takes out of texts and values what names people and machines; the same secret gets the same placeholder.

A name is replaced wherever it stands by itself, not inside a longer word. A name that is a common word
too (a user called kvm, or a) is replaced only where a name is meant: as a value of a field that holds
names, in a home folder's path, before an @, and after words like “user” and “password for”. That
the word kvm stands in a report says nothing about anybody, and taken out everywhere it would leave nothing
to be read.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

from kvmwizard.report import patterns
from kvmwizard.report.common import is_common
from kvmwizard.report.secret import Kind, Secret
from kvmwizard.report.values import rebuilt, texts_in

FIELDS_WITH_USERS = frozenset(
    {"user", "builder", "caller", "sudo_caller", "left_out_by", "owner", "login", "members"}
)
FIELDS_WITH_HOSTS = frozenset({"host_name", "hostname", "nodename"})
EVERYBODYS_USERS = frozenset({"root", "nobody"})
BEFORE_USERS = (
    r"(?P<before>(?i:\b(?:user|login|account|owner|logname|sudo_user|doas_user)(?: name)?[ =:]+[\"'“]?"
    r"|password for |\bsu (?:- )?|\bskipped by |\buid=\d+\()|~)"
)
"""What stands before a user's name in texts of programs."""


class Redactor:
    """Learns what is secret from all that a report holds, then takes it out."""

    def __init__(
        self, known: Iterable[Secret], common: frozenset[str], free_hosts: frozenset[str] = frozenset()
    ) -> None:
        """Begin with what is known.

        Args:
            known: secrets of this machine.
            common: words that name nobody by themselves, see the module.
            free_hosts: hosts that are everybody's, beside those of `patterns`.
        """
        self._free_hosts = free_hosts
        self._common = common
        self._numbers: dict[tuple[Kind, str], str] = {}
        self._names: dict[str, Secret] = {}
        self._forms: dict[str, Secret] = {}
        self._pattern: re.Pattern[str] | None = None
        """Of all that is to be found; None while something new is known."""
        self._clear: re.Pattern[str] | None = None
        """Of the names alone that are taken out wherever they stand."""
        self._taken: Counter[Kind] = Counter()
        for secret in known:
            self.know(secret)

    def know(self, secret: Secret) -> None:
        """One more secret. What is everybody's is none."""
        value = secret.value.strip()
        if secret.kind is Kind.HOST:
            free = value.casefold() in self._free_hosts or patterns.is_free_host(value)
        else:
            free = value.casefold() in EVERYBODYS_USERS
        if not value or free:
            return
        if value.casefold() not in self._names:
            self._names[value.casefold()] = Secret(secret.kind, value)
            self._pattern = None

    # Learning

    def learn(self, content: object) -> None:
        """Find out which names a text, or a value with texts in it, gives away by where they stand."""
        for text, field in texts_in(content):
            self._learn_text(text, field)

    def _learn_text(self, text: str, field: str | None) -> None:
        if field in FIELDS_WITH_USERS and not text.isdigit():
            self.know(Secret(Kind.USER, text))
        if field in FIELDS_WITH_HOSTS:
            self.know(Secret(Kind.HOST, text))
        for found in patterns.HOME.finditer(text):
            self.know(Secret(Kind.HOME, found[0]))
            self._know_unless_common(Kind.USER, found["name"])
        for found in re.finditer(patterns.URL_LOGIN, text):
            password = found["login"].partition(":")[2]
            for form in (password, unquote(password)):
                self._know_unless_common(Kind.CREDENTIALS, form)
        for found in (*patterns.URL_HOST.finditer(text), *patterns.SOUGHT_HOST.finditer(text)):
            if not patterns.is_numbered(found["host"]):
                self.know(Secret(Kind.HOST, found["host"].rstrip(".")))

    def _know_unless_common(self, kind: Kind, name: str) -> None:
        if not is_common(name, self._common):
            self.know(Secret(kind, name))

    # Taking out

    def taken(self) -> Counter[Kind]:
        """How much was taken out since the last call."""
        taken, self._taken = self._taken, Counter()
        return taken

    def value(self, content: Any) -> Any:
        """The value as plain JSON, sentences in English, without its secrets."""
        return rebuilt(content, self._changed)

    def _changed(self, text: str, field: str | None) -> str:
        if field is None:
            return self.text(text)
        secret = self._names.get(text.strip().casefold())
        holds_names = field in FIELDS_WITH_USERS or field in FIELDS_WITH_HOSTS
        short = secret is not None and text.casefold() not in self._common and text[:1].isalpha()
        if secret is not None and (holds_names or short):
            return self._placeholder(secret.kind, secret.value)
        return self.text(text)

    def text(self, text: str) -> str:
        """The text without its secrets."""
        if self._pattern is None:
            self._pattern = self._compiled()
        return self._pattern.sub(self._replaced, text)

    def _placeholder(self, kind: Kind, value: str) -> str:
        self._taken[kind] += 1
        key = (kind, value.casefold())
        if key not in self._numbers:
            number = 1 + sum(known is kind for known, _ in self._numbers)
            self._numbers[key] = f"[{kind.value}-{number}]"
        return self._numbers[key]

    def _compiled(self) -> re.Pattern[str]:
        secrets = sorted(self._names.values(), key=lambda secret: -len(secret.value))
        self._forms = {form.casefold(): secret for secret in secrets for form in forms_of(secret.value)}
        clear = [secret for secret in secrets if not self._is_unclear(secret)]
        unclear = [secret for secret in secrets if self._is_unclear(secret)]
        names = [f"(?P<clear>{_any_of(clear)})"] if clear else []
        self._clear = re.compile(names[0]) if clear else None
        if unclear:
            either = _any_of(unclear)
            names.append(f"{BEFORE_USERS}(?P<meant>{either})|(?P<at>{either})(?=@)|(?<=@)(?P<on>{either})")
        forms = (
            *(patterns.DISK, patterns.SERIAL, patterns.UUID, patterns.MACHINE_ID, patterns.PARTITION),
            *(patterns.MAC, patterns.IPV6, patterns.IPV4),
        )
        return re.compile("|".join((patterns.URL_LOGIN, patterns.BARE_LOGIN, *names, *forms)))

    def _is_unclear(self, secret: Secret) -> bool:
        return secret.kind in {Kind.USER, Kind.HOST} and is_common(secret.value, self._common)

    def _replaced(self, found: re.Match[str]) -> str:
        groups = {name: text for name, text in found.groupdict().items() if text is not None}
        for name in ("clear", "meant", "at", "on"):
            if name in groups:
                # A host is found with the domain around it, which is another name then.
                secret = self._forms.get(groups[name].casefold(), Secret(Kind.HOST, groups[name]))
                return groups.get("before", "") + self._placeholder(secret.kind, secret.value)
        if "ipv6" in groups:
            return self._address_taken(groups["ipv6"])
        if "ipv4" in groups and not patterns.is_address(groups["ipv4"]):
            return groups["ipv4"]
        for name, kind, kept in REPLACED_FORMS:
            if name in groups:
                end = "@" if name == "login" else ""
                return self._names_taken(groups.get(kept, "")) + self._placeholder(kind, groups[name]) + end
        return found[0]

    def _names_taken(self, text: str) -> str:
        """Of what was found and is no secret as a whole: a name may be a part of it."""
        return text if self._clear is None else self._clear.sub(self._replaced, text)

    def _address_taken(self, run: str) -> str:
        span = patterns.address_in(run)
        if span is None:
            return self._names_taken(run)
        start, end = span
        return (
            self._names_taken(run[:start])
            + self._placeholder(Kind.ADDRESS, run[start:end])
            + self._address_taken(run[end:])
        )


REPLACED_FORMS = (
    ("login", Kind.CREDENTIALS, "scheme"),
    ("bare", Kind.CREDENTIALS, ""),
    ("disk", Kind.SERIAL, "by"),
    ("serial", Kind.SERIAL, "said"),
    ("uuid", Kind.ID, ""),
    ("machine", Kind.ID, ""),
    ("partition", Kind.ID, ""),
    ("mac", Kind.MAC, ""),
    ("ipv4", Kind.ADDRESS, ""),
)
"""A group of the pattern, what it is, and the group before it that stays."""


def forms_of(value: str) -> set[str]:
    """How a name may be written: plainly, in JSON, in a URL, and in a log in another character set."""
    forms = {value, json.dumps(value)[1:-1], quote(value, safe="")}
    with contextlib.suppress(UnicodeEncodeError):
        forms.add(value.encode("latin-1").decode("utf-8", "backslashreplace"))
    return forms


def _any_of(secrets: Iterable[Secret]) -> str:
    """A pattern for any of the secrets, standing by itself, in any case of its letters."""
    return "|".join(_alone(secret, form) for secret in secrets for form in sorted(forms_of(secret.value)))


def _alone(secret: Secret, form: str) -> str:
    before = r"(?<![^\W_])" if form[:1].isalnum() else ""
    after = r"(?![^\W_])" if form[-1:].isalnum() else ""
    name = f"(?i:{re.escape(form)})"
    if secret.kind is not Kind.HOST:
        return before + name + after
    below = r"(?:[A-Za-z0-9][A-Za-z0-9-]*\.)*" if "." in form else ""
    return rf"{before}{below}{name}(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*{after}"
