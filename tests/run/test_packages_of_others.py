"""What others do to the packages of a machine meanwhile is theirs, and is neither lost nor taken back."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvmwizard.packages.managers import MANAGERS
from kvmwizard.plan.model import FileAbsent, PackageListsFresh, PackagesInstalled, RunCommand, Step
from kvmwizard.plan.software import run_command
from tests.machine.layers import PROGRAM_FOLDER, Layer, prepared_layer
from tests.machine.machine import ThrowawayMachine
from tests.run.test_in_machine import GROUP, RULES, WRITE, Runs, says_that_it_waits, step

pytestmark = pytest.mark.root

WAIT_SECONDS = 30.0
HELD, LET_GO = "/opt/held", "/opt/let-go"
SLOWLY = "test -e /tmp/quick || sleep 300; rm /tmp/there"
MIRROR = f"""
set -e
mkdir -p /opt/mirror /var/lib/apt/periodic
cd /opt/mirror
wait='touch {HELD}; timeout 60 sh -c "until [ -e {LET_GO} ]; do sleep 0.02; done"'
package() {{ # name version preinst postinst [field]
    rm -rf /tmp/package
    mkdir -p /tmp/package/DEBIAN
    printf '#!/bin/sh\n%s\n' "$3" > /tmp/package/DEBIAN/preinst
    printf '#!/bin/sh\n%s\n' "$4" > /tmp/package/DEBIAN/postinst
    chmod 755 /tmp/package/DEBIAN/p*inst
    cat > /tmp/package/DEBIAN/control << END
Package: $1
Version: $2
Architecture: all
Maintainer: nobody
Description: tiny
${{5:-Priority: optional}}
END
    dpkg-deb --build /tmp/package $1_$2.deb
    {{
        dpkg-deb --field $1_$2.deb
        echo "Filename: ./$1_$2.deb"
        echo "Size: $(stat --format %s $1_$2.deb)"
        echo "SHA256: $(sha256sum < $1_$2.deb | cut -d ' ' -f 1)"
        echo
    }} >> Packages
}}
package tiny-ours 1 true true
package tiny-held 1 "$wait" true
package tiny-foreign 1 true true 'Pre-Depends: tiny-held'
package tiny-broken 1 true 'exit 1'
package tiny-upgraded 1 true true
dpkg --install tiny-upgraded_1.deb
package tiny-upgraded 2 true "$wait"
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/opt/mirror ./' > /etc/apt/sources.list
apt-get update
touch /var/lib/apt/periodic/update-success-stamp
"""
"""A mirror that is a folder; of some packages a script waits to be let go."""


@pytest.fixture(scope="module")
def mirror_base(program_base: Layer) -> Layer:
    def prepare(machine: ThrowawayMachine) -> None:
        machine.do(["/bin/sh", "-c", MIRROR])

    return prepared_layer("packages-of-others", prepare, [Path(__file__).read_bytes()], program_base)


@pytest.fixture
def runs(mirror_base: Layer) -> Iterator[Runs]:
    with ThrowawayMachine.start(mirror_base.stack, network=False) as machine:
        yield Runs(machine)


def install(name: str) -> Step:
    wanted = PackagesInstalled(manager="apt", names=(name,))
    return step("packages.install", wanted, *map(run_command, MANAGERS["apt"].install((name,))))


def state_of(runs: Runs, package: str) -> str:
    """As dpkg-query(1) calls it; empty for a package that was never there."""
    query = ["/usr/bin/dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    return runs.machine.run(query).stdout


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_held(runs: Runs) -> None:
    wait_until(runs.machine.path(HELD).exists)


def let_go(runs: Runs) -> None:
    runs.machine.path(LET_GO).touch()


def installed_by_somebody_else(runs: Runs, package: str) -> "subprocess.Popen[str]":
    """Somebody's apt-get, which holds dpkg's lock until it is let go."""
    other = runs.machine.popen(["/usr/bin/apt-get", "install", "--yes", package])
    wait_until_held(runs)
    return other


def installed_meanwhile(runs: Runs, other: "subprocess.Popen[str]") -> str:
    """A run that installs a package of its own as soon as somebody else is done with theirs."""
    run_id = runs.take(install("tiny-ours"))
    runs.ask("start", run_id)
    runs.wait(run_id, says_that_it_waits("packages.install"))
    let_go(runs)
    other.communicate(timeout=WAIT_SECONDS)
    assert other.returncode == 0
    assert runs.end(run_id)["status"] == "done"
    assert state_of(runs, "tiny-ours") == "installed"
    return run_id


def test_what_somebody_else_installs_while_we_wait_for_the_lock_stays(runs: Runs) -> None:
    run_id = installed_meanwhile(runs, installed_by_somebody_else(runs, "tiny-foreign"))
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    states = [state_of(runs, name) for name in ("tiny-held", "tiny-foreign", "tiny-ours")]
    assert states == ["installed", "installed", ""]


def test_what_somebody_else_upgrades_while_we_begin_stays(runs: Runs) -> None:
    """As unattended-upgrades does: it was installed long before."""
    other = installed_by_somebody_else(runs, "tiny-upgraded")
    assert state_of(runs, "tiny-upgraded") == "half-configured"
    run_id = installed_meanwhile(runs, other)
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert [state_of(runs, name) for name in ("tiny-upgraded", "tiny-ours")] == ["installed", ""]


def test_where_the_lists_could_not_be_renewed_that_is_why_a_package_is_not_offered(runs: Runs) -> None:
    runs.machine.do(["/bin/sh", "-c", "echo 'deb http://127.0.0.1:9/ ./' > /etc/apt/sources.list"])
    runs.machine.do(["/bin/sh", "-c", "rm -r /var/lib/apt/lists/* /var/lib/apt/periodic/*"])
    wanted = PackagesInstalled(manager="apt", names=("tiny-ours",))
    fresh = PackageListsFresh(manager="apt", seconds=86400, wanted=wanted)
    refresh = step("packages.refresh", fresh, *map(run_command, MANAGERS["apt"].refresh()))
    refresh = refresh.model_copy(update={"required": False})
    run_id = runs.take(refresh, install("tiny-ours").model_copy(update={"needs": (refresh.id,)}))
    state = runs.carry_out(run_id)
    assert state["status"] == "failed"
    unreachable = state["steps"]["packages.refresh"]["words"]
    assert "cannot be reached" in unreachable
    said = state["steps"]["packages.install"]["words"]
    assert said.startswith("The package lists do not have it, for they could not be renewed before.")
    assert said.endswith(unreachable)


@pytest.mark.slow
def test_a_package_that_a_failed_step_left_half_installed_is_taken_back(runs: Runs) -> None:
    run_id = runs.take(install("tiny-broken"))
    assert runs.carry_out(run_id)["status"] == "failed"
    assert state_of(runs, "tiny-broken") == "half-configured"
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert state_of(runs, "tiny-broken") == ""


def test_what_root_goes_on_with_when_the_runner_was_killed_is_seen_by_all(runs: Runs) -> None:
    run_id = runs.take(install("tiny-held"))
    runs.ask("start", run_id)
    wait_until_held(runs)
    assert runs.kill_runner()
    assert runs.wait(run_id, lambda state: state["status"] != "running")["status"] == "interrupted"
    for refused in (("undo", run_id), ("take", "/opt/plan.json")):
        said = runs.machine.run(runs.argv(*refused))
        assert (said.returncode, said.stdout) == (1, "")
        assert "packages.install" in said.stderr
        assert "is still at work" in said.stderr
    program = f"{PROGRAM_FOLDER}/bin/kvmwizard"
    stop = runs.machine.popen([program, "apply", "--stop", "--state-dir", f"{runs.home}/state"])
    assert stop.stdout is not None
    assert stop.stdout.readline().startswith("The step packages.install of the run")
    assert stop.poll() is None
    let_go(runs)
    rest, complaints = stop.communicate(timeout=WAIT_SECONDS)
    assert (stop.returncode, complaints) == (3, "")
    assert rest.endswith(f"Run {run_id} was interrupted: its process is gone.\n")
    assert state_of(runs, "tiny-held") == "installed"
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert state_of(runs, "tiny-held") == ""


def wait_for_answers_a_second(runs: Runs) -> None:
    client = f"{PROGRAM_FOLDER}/lib/python3*/site-packages/kvmwizard/run/root_client.py"
    runs.machine.do(["/bin/sh", "-c", f"sed -i 's/^ANSWER_SECONDS = .*/ANSWER_SECONDS = 1.0/' {client}"])


def signal_helper(runs: Runs, name: str) -> None:
    helper = runs.machine.do(["/usr/bin/pgrep", "-f", "--", "-I -S -c import sys,hashlib"]).split()
    runs.machine.do(["/bin/kill", name, *helper])


def test_what_a_silent_helper_is_at_is_gone_on_with_after_a_stop_beside_another_step(runs: Runs) -> None:
    wait_for_answers_a_second(runs)
    runs.machine.do(["/usr/bin/touch", "/tmp/there"])
    other = step("user.step", FileAbsent(path="/tmp/there"), RunCommand(argv=("/bin/sh", "-c", SLOWLY)))
    run_id = runs.take(install("tiny-held"), other.model_copy(update={"root": False}))
    runs.ask("start", run_id)
    wait_until_held(runs)
    signal_helper(runs, "-STOP")
    runs.ask("stop", run_id)
    assert runs.end(run_id)["status"] in {"stopped", "needs-root"}
    signal_helper(runs, "-CONT")
    runs.machine.do(["/usr/bin/touch", "/tmp/quick"])
    runs.ask("start", run_id)
    state = runs.wait(run_id, lambda state: state["steps"]["user.step"]["status"] == "done")
    assert state["steps"]["packages.install"]["status"] == "running"
    let_go(runs)
    state = runs.end(run_id)
    assert (state["status"], state["notice"]) == ("done", None), state
    assert state["steps"]["packages.install"]["attempts"] == 1


def test_a_helper_that_was_silent_for_too_long_is_waited_for(runs: Runs) -> None:
    """As on a machine that swaps: what it is at is neither begun twice nor taken for done before its end."""
    wait_for_answers_a_second(runs)
    run_id = runs.take(install("tiny-held"))
    runs.ask("start", run_id)
    wait_until_held(runs)
    signal_helper(runs, "-STOP")
    time.sleep(1.5)
    signal_helper(runs, "-CONT")
    time.sleep(1.5)
    let_go(runs)
    state = runs.end(run_id)
    assert (state["status"], state["steps"]["packages.install"]["attempts"]) == ("done", 1), state
    assert state_of(runs, "tiny-held") == "installed"
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    assert state_of(runs, "tiny-held") == ""


@pytest.mark.slow
def test_what_is_like_it_after_an_undo_is_somebody_else_s_and_stays(runs: Runs) -> None:
    run_id = runs.take(GROUP, WRITE)
    assert runs.carry_out(run_id)["status"] == "done"
    assert runs.carry_out(runs.ask("undo", run_id))["status"] == "done"
    runs.machine.do(["/usr/sbin/groupadd", "--system", "kvm"])
    runs.machine.do(["/bin/sh", "-c", f"echo '# of the administrator' > {RULES}"])
    said = runs.machine.run(runs.argv("undo", run_id))
    assert (said.returncode, said.stdout) == (1, "")
    assert "was taken back already" in said.stderr
