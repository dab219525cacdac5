"""Kernel build: what the configuration starts from, what it can do for guests, and how it is installed."""

from collections.abc import Mapping
from typing import ClassVar

from kvmwizard.answers import AnswerModel, KernelBuildAnswer
from kvmwizard.answers.proposals import packages_can_be_made, running_configuration_known
from kvmwizard.catalog.chosen import chosen_kernel
from kvmwizard.catalog.features import Feature, chosen_features, features
from kvmwizard.catalog.tools import tools_of
from kvmwizard.host.facts import Facts
from kvmwizard.words import Words, _, say
from screens.advice import DEFAULT_COMPILER
from screens.build_page import FOLDER, JOBS, BuildAnswer, BuildPage, Switched, Typed
from screens.field_rules import changed, rule_of, text_or_none
from screens.text_dialog import TextDialog
from screens.widgets.entries import Entry, Part, Sign

FEATURE_PREFIX = "feature."
ALWAYS_ON = ("kvm", "boot-test")
"""Features without which the wizard's kernel would not be what it is for."""

BASES: dict[str, tuple[Words, Words]] = {
    "localmodconfig": (
        say("the running kernel's, trimmed to loaded modules"),
        say(
            "What the running kernel has, without the modules that are not loaded now: by far the quickest "
            "to build. Plug in and use beforehand whatever this machine shall know."
        ),
    ),
    "running": (
        say("the running kernel's"),
        say("All that the running kernel has, with every driver: the safest, and the longest to build."),
    ),
    "defconfig": (
        say("the architecture's default"),
        say(
            "What the kernel's developers think most machines of this kind need; may lack a driver of yours."
        ),
    ),
    "file": (
        say("a file of mine"),
        say("A .config of yours."),
    ),
}
"""What the configuration can start from, in the order that Space steps through."""

INSTALLS: dict[str, tuple[Words, Words]] = {
    "package": (
        say("as a package"),
        say("The package manager owns it: listed with the others, and removed like them."),
    ),
    "plain": (
        say("as plain files"),
        say("Its files are put in place and listed in the journal; undo removes them."),
    ),
}


class KernelBuildPage(BuildPage):
    """How the kernel is configured, compiled and installed."""

    PAGE = "kernel_build"
    PROJECT = "linux"
    TYPED: ClassVar[Mapping[str, Typed]] = {
        "base_file": Typed(
            say("Configuration file"),
            say("The path of the .config that the configuration starts from. It must begin with /."),
            text_or_none,
        ),
        "local_version": Typed(
            say("Local version"),
            say(
                "Ends the release that uname -r says, so that this kernel is told from others of its "
                "version: -, + or a dot, then small letters, digits, dots, + and -. Empty: nothing."
            ),
            str.strip,
        ),
        "jobs": JOBS,
        "folder": FOLDER,
    }
    SWITCHED: ClassVar[Mapping[str, Switched]] = {
        "debug_info": Switched(
            say("Debugging symbols"),
            say("For those who debug the kernel itself: three times the disk, and much longer to build."),
        ),
        "ccache": Switched(
            say("ccache"),
            say("Remembers what was compiled: building the same sources again takes a fraction of the time."),
        ),
    }

    def asks(self) -> str:
        """The question."""
        return _("How shall Linux {version} be built?", version=self.version())

    def current(self) -> KernelBuildAnswer | None:
        """How the kernel is built."""
        return self.state.answers.kernel_build

    def version(self) -> str:
        """The kernel's."""
        chosen = chosen_kernel(self.state.answers)
        return chosen.version.text if chosen is not None else ""

    def compiler(self) -> str:
        """What compiles."""
        answer = self.current()
        return answer.compiler if answer is not None else super().compiler()

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """What must be agreed to, then where it starts, then what it can do, then how it is made."""
        answer = self.current()
        if answer is None or not self.version():
            return ()
        base_file = (self.typed_entry("base_file", facts),) if answer.base == "file" else ()
        return (
            *self.verdict_entries(),
            stepped_entry("base", say("Starts from"), BASES, answer.base, self._bases(facts)),
            *base_file,
            *self._feature_entries(answer, facts),
            self.typed_entry("local_version", facts),
            self.switched_entry("debug_info"),
            self.typed_entry("jobs", facts),
            compiler_entry(answer, facts),
            self.switched_entry("ccache"),
            self.typed_entry("folder", facts),
            stepped_entry("install", say("Installed"), INSTALLS, answer.install, installs(facts)),
        )

    def shown(self, field: str, facts: Facts) -> str:
        """The value of a typed field as it is."""
        answer = self.current()
        if answer is None:
            return ""
        if field == "local_version":
            chosen = chosen_kernel(self.state.answers)
            release = chosen.release if chosen is not None else ""
            return _(
                "{value} (uname -r will say {release})", value=answer.local_version or "-", release=release
            )
        if field == "base_file":
            return answer.base_file or ""
        return self.shown_common(field, facts)

    def _bases(self, facts: Facts) -> tuple[str, ...]:
        """Those that there are on this machine."""
        if running_configuration_known(facts):
            return tuple(BASES)
        return ("defconfig", "file")

    def _feature_entries(self, answer: KernelBuildAnswer, facts: Facts) -> tuple[Entry, ...]:
        chosen = {feature.id for feature in chosen_features(self.version(), facts, answer.features)}
        return tuple(
            feature_entry(feature, chosen=feature.id in chosen) for feature in features(self.version(), facts)
        )

    def press(self, entry: Entry) -> None:
        """The step to a file of one's own asks for its path."""
        answer, machine = self.current(), self.state.machine
        if answer is not None and machine is not None and entry.id == "base":
            bases = self._bases(machine.facts)
            if following(bases, answer.base) == "file":
                self._ask_for_the_file(answer, after=following(bases, "file"))
                return
        super().press(entry)

    def _ask_for_the_file(self, answer: KernelBuildAnswer, after: str) -> None:
        """Ask for the path; whoever gives none steps over it."""

        def typed(text: str | None) -> None:
            base = {"base": after} if not text else {"base": "file", "base_file": text_or_none(text)}
            self.post_message(self.Edited(answer.model_copy(update=base)))

        field = self.TYPED["base_file"]
        dialog = TextDialog(
            str(field.what),
            answer.base_file or "",
            rule=rule_of(answer, "base_file", field.title, field.parse),
        )
        self.app.push_screen(dialog, typed)

    def with_text(self, answer: BuildAnswer, field: str, text: str) -> BuildAnswer | None:
        """The answer with a typed field; no file is no base."""
        if field == "base_file" and not text.strip():
            return changed(answer, "base", "defconfig")
        return super().with_text(answer, field, text)

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """Step through, switch a feature, or what every build has."""
        answer, machine = self.current(), self.state.machine
        if answer is None or machine is None:
            return None
        facts = machine.facts
        if entry.id == "base":
            return answer.model_copy(update={"base": following(self._bases(facts), answer.base)})
        if entry.id == "install":
            return answer.model_copy(update={"install": following(installs(facts), answer.install)})
        if entry.id == "compiler":
            return answer.model_copy(update={"compiler": following(compilers(facts), answer.compiler)})
        if entry.id.startswith(FEATURE_PREFIX) and entry.sign in (Sign.TICKED, Sign.UNTICKED):
            switched = entry.id.removeprefix(FEATURE_PREFIX)
            ids = with_switched(self.version(), facts, answer.features, switched)
            return answer.model_copy(update={"features": ids})
        return super().pressed(entry)


def with_switched(version: str, facts: Facts, ids: tuple[str, ...] | None, switched: str) -> tuple[str, ...]:
    """The features with one switched: on with all that it needs, off with all that needs it."""
    chosen = {feature.id for feature in chosen_features(version, facts, ids)}
    offered = features(version, facts)
    if switched in chosen:
        gone = {switched}
        while more := {each.id for each in offered if gone & {*each.needs}} - gone:
            gone |= more
        chosen -= gone
    else:
        chosen.add(switched)
    return tuple(feature.id for feature in chosen_features(version, facts, chosen))


def feature_entry(feature: Feature, *, chosen: bool) -> Entry:
    """Something that the kernel can do for guests."""
    always = feature.id in ALWAYS_ON
    symbols = ", ".join(f"CONFIG_{name}={value}" for name, value in feature.symbols.items())
    return Entry(
        id=f"{FEATURE_PREFIX}{feature.id}",
        sign=Sign.PASSED if always else Sign.TICKED if chosen else Sign.UNTICKED,
        title=str(feature.title),
        explanation=(
            Part(_("What"), str(feature.why)),
            *(
                (Part(_("Note"), _("Always there: the wizard's kernel is not without it.")),)
                if always
                else ()
            ),
            Part(_("Options"), symbols),
        ),
        whole=True,
    )


def stepped_entry(
    field: str, title: Words, words: Mapping[str, tuple[Words, Words]], value: str, offered: tuple[str, ...]
) -> Entry:
    """A field that Space steps through its values."""
    name, what = words[value]
    parts = [Part(_("Now"), str(what))]
    if len(offered) > 1:
        parts += [
            Part(_("Space") if not index else "", str(words[other][0]))
            for index, other in enumerate(steps_after(offered, value))
        ]
    return Entry(field, Sign.NONE, str(title), str(name), explanation=tuple(parts))


def compilers(facts: Facts) -> tuple[str, ...]:
    """Those that are installed, and those that the distribution has packages of; the usual one first."""
    return tools_of(facts).compilers


def compiler_entry(answer: KernelBuildAnswer, facts: Facts) -> Entry:
    """The compiler, among those that can be had."""
    tools = tools_of(facts)
    usual = answer.compiler == DEFAULT_COMPILER
    version = tools.versions.get(DEFAULT_COMPILER) if usual else None
    is_here = (
        DEFAULT_COMPILER not in tools.foreseen if usual else answer.compiler in tools.installed_compilers
    )
    parts = [Part(_("What"), _("Compiles the kernel. An old kernel may want an older compiler."))]
    if not is_here:
        note = _("It is not here yet: its package is installed with what else the build needs.")
        parts.append(Part(_("Note"), note))
    if len(tools.compilers) > 1:
        parts.append(Part(_("Space"), ", ".join(steps_after(tools.compilers, answer.compiler))))
    return Entry(
        "compiler",
        Sign.NONE,
        _("Compiler"),
        f"{answer.compiler} {version or ''}".strip(),
        explanation=tuple(parts),
    )


def installs(facts: Facts) -> tuple[str, ...]:
    """How it can be installed here."""
    return tuple(INSTALLS) if packages_can_be_made(facts) else ("plain",)


def following(offered: tuple[str, ...], value: str) -> str:
    """What Space steps to; the first where the value is none of them."""
    return offered[(offered.index(value) + 1) % len(offered)] if value in offered else offered[0]


def steps_after(offered: tuple[str, ...], value: str) -> tuple[str, ...]:
    """The other values, in the order in which Space comes to them."""
    if value not in offered:
        return offered
    place = offered.index(value)
    return (*offered[place + 1 :], *offered[:place])
