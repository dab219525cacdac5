"""The adviser's verdicts, asked once each: pages show them at every move of the cursor."""

from kvmwizard.catalog.adviser import Tools, Verdict, advise, tools_of
from kvmwizard.catalog.sources import Project
from kvmwizard.host.facts import Facts
from screens.state import WizardState

DEFAULT_COMPILER = "gcc"


class Advice:
    """What this machine's tools can build."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._tools: dict[str, Tools] = {}
        self._verdicts: dict[tuple[Project, str, str], Verdict] = {}

    def verdict(self, project: Project, version: str, compiler: str = DEFAULT_COMPILER) -> Verdict:
        """Whether the version builds here, and with which help."""
        key = (project, version, compiler)
        if key not in self._verdicts:
            if compiler not in self._tools:
                self._tools[compiler] = tools_of(self.facts, compiler)
            self._verdicts[key] = advise(project, version, self._tools[compiler])
        return self._verdicts[key]


def advice_of(state: WizardState) -> Advice | None:
    """The advice for the machine as it was read last; None before."""
    if state.machine is None:
        return None
    if state.advice is None or state.advice.facts is not state.machine.facts:
        state.advice = Advice(state.machine.facts)
    return state.advice
