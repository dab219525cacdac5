"""Kernel options: modules at boot, guests within guests, the IOMMU."""

from kvmwizard.answers import AnswerModel, KeepKernel, KernelOptionsAnswer, iommu_obstacle
from kvmwizard.host.facts import Facts
from kvmwizard.host.modules import ModuleFacts, ModuleState
from kvmwizard.host.reading import Unknown
from kvmwizard.words import Words, _, say
from screens.choice_page import ChoicePage
from screens.widgets.entries import Entry, Part, Sign

MODULE_PURPOSES: dict[str, Words] = {
    "kvm": say("Runs guests on the processor itself; everything else rests on it."),
    "kvm_intel": say("KVM on Intel processors."),
    "kvm_amd": say("KVM on AMD processors."),
    "kvm_pvm": say("KVM on machines that are guests themselves and have no virtualization extension."),
    "kvm_hv": say("KVM on POWER processors."),
    "vhost_net": say("Carries guests' network packets in the kernel: faster, and easier on the processor."),
    "vhost_vsock": say("A direct line between host and guests, without a network."),
    "tun": say("Gives guests a network card of their own on this host."),
    "vfio_pci": say("Hands whole PCI devices to guests; needs the IOMMU."),
}
"""The modules offered, in the order shown, and what each is good for."""

STATE_WORDS: dict[ModuleState, Words] = {
    ModuleState.LOADED: say("loaded now"),
    ModuleState.BUILT_IN: say("part of the kernel"),
    ModuleState.AVAILABLE: say("not loaded"),
    ModuleState.ABSENT: say("not in this kernel"),
}


class KernelOptionsPage(ChoicePage):
    """What the kernel shall do for guests."""

    PAGE = "kernel_options"

    def asks(self) -> str:
        """The question; plainly, where nothing can be changed."""
        facts = self.state.machine.facts if self.state.machine is not None else None
        if facts is not None and facts.modules.loadable is False and iommu_obstacle(facts) is not None:
            return str(self._nothing_to_change())
        return _("What shall the kernel do for guests, now and at every start?")

    def _nothing_to_change(self) -> Words:
        answer = self.state.answers.kernel
        if answer is None or isinstance(answer.kernel, KeepKernel):
            return say(
                "Nothing can be changed here: this kernel takes no modules, and what it can do is built in. "
                "Press Enter to go on."
            )
        return say(
            "Nothing can be changed here yet: the running kernel takes no modules, and what it can do is "
            "built in. Come back once the new kernel runs. Press Enter to go on."
        )

    def choices(self, facts: Facts) -> tuple[Entry, ...]:
        """Modules, then guests within guests, then the IOMMU."""
        answer = self.current() or KernelOptionsAnswer()
        modules = [
            module_entry(module, facts, chosen=name in answer.modules)
            for name in MODULE_PURPOSES
            if (module := facts.modules.modules.get(name)) is not None
            and module.state is not ModuleState.ABSENT
        ]
        nested = (nested_entry(facts, answer.nested),) if nesting_is_a_parameter(facts) else ()
        return (*modules, *nested, iommu_entry(facts, chosen=answer.iommu))

    def first_selected(self) -> str | None:
        """The cursor starts at the top: nothing here must be chosen."""
        return None

    def current(self) -> KernelOptionsAnswer | None:
        """The options chosen."""
        return self.state.answers.kernel_options

    def pressed(self, entry: Entry) -> AnswerModel | None:
        """Switch a module or the IOMMU; step through the three ways of nesting."""
        answer = self.current()
        if answer is None or self.state.machine is None:
            return None
        if entry.id == "nested":
            following = {None: True, True: False, False: None}
            return answer.model_copy(update={"nested": following[answer.nested]})
        if entry.sign not in (Sign.TICKED, Sign.UNTICKED):
            return None
        if entry.id == "iommu":
            return answer.model_copy(update={"iommu": not answer.iommu})
        name = entry.id.removeprefix("module.")
        chosen = set(answer.modules) ^ {name}
        return answer.model_copy(
            update={"modules": tuple(each for each in MODULE_PURPOSES if each in chosen)}
        )


def module_entry(module: ModuleFacts, facts: Facts, *, chosen: bool) -> Entry:
    """A module to load at every boot; no switch where there is nothing to load."""
    state = module.state
    built_in = state is ModuleState.BUILT_IN
    switchable = facts.modules.loadable is not False and not built_in
    detail = _("cannot be told") if isinstance(state, Unknown) else str(STATE_WORDS[state])
    box = Sign.TICKED if chosen else Sign.UNTICKED
    sign = box if switchable else Sign.PASSED if built_in else Sign.NOT_APPLICABLE
    parts = [Part(_("What"), str(MODULE_PURPOSES[module.name]))]
    if built_in:
        parts.append(
            Part(_("Now"), _("It is part of the kernel, so it is always there and need not be loaded."))
        )
    elif not switchable:
        parts.append(Part(_("Now"), _("The running kernel takes no modules, so it cannot be loaded.")))
    else:
        parts.append(Part(_("Chosen"), _("It is loaded by the plan, and at every start of this machine.")))
    if module.blacklisted_by is not None:
        parts.append(
            Part(_("Note"), _("{place} keeps it from loading by itself.", place=module.blacklisted_by))
        )
    return Entry(f"module.{module.name}", sign, module.name, detail, explanation=tuple(parts))


def nesting_is_a_parameter(facts: Facts) -> bool:
    """Whether kvm_intel or kvm_amd is here as a module, whose option nesting is."""
    names = ("kvm_intel", "kvm_amd")
    modules = [facts.modules.modules[name] for name in names if name in facts.modules.modules]
    return facts.modules.loadable is not False and any(
        module.state in (ModuleState.LOADED, ModuleState.AVAILABLE) for module in modules
    )


def nested_entry(facts: Facts, chosen: bool | None) -> Entry:
    """Guests that run guests: as it is, on, or off."""
    nested = facts.modules.nested
    if chosen is None:
        known_words = {True: _("leave as it is (on)"), False: _("leave as it is (off)")}
        detail = known_words[nested] if isinstance(nested, bool) else _("leave as it is")
    else:
        detail = _("turn on") if chosen else _("turn off")
    return Entry(
        id="nested",
        sign=Sign.NONE,
        title=_("Guests within guests"),
        detail=detail,
        explanation=(
            Part(
                _("What"),
                _("Lets a guest run guests of its own with KVM, as for trying out a cloud in one machine."),
            ),
            Part(
                _("Takes"), _("A change holds once the module is loaded anew, at the latest after a restart.")
            ),
            Part(_("Space"), _("Steps through: leave as it is, turn on, turn off.")),
        ),
    )


def iommu_entry(facts: Facts, *, chosen: bool) -> Entry:
    """The IOMMU on the kernel's command line, where the wizard can put it there."""
    groups = facts.iommu.groups
    what = Part(_("What"), _("Needed only to hand whole PCI devices to guests."))
    if isinstance(groups, int) and groups > 0:
        return Entry("iommu", Sign.PASSED, _("IOMMU"), _("on now"), explanation=(what,))
    obstacle = iommu_obstacle(facts)
    if obstacle is not None:
        parts = (what, Part(_("Now"), str(obstacle)))
        return Entry(
            "iommu", Sign.NOT_APPLICABLE, _("IOMMU"), _("cannot be turned on here"), explanation=parts
        )
    after = Part(_("Chosen"), _("The plan adds it to the kernel's command line; it holds after a restart."))
    box = Sign.TICKED if chosen else Sign.UNTICKED
    return Entry("iommu", box, _("IOMMU"), _("off now"), explanation=(what, after))
