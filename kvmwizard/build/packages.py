"""The worker process that unpacks packages of another release into a folder, installing nothing."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvmwizard.build.log import AttemptLog
from kvmwizard.job import FIXED_ENVIRONMENT, Job, Work, main_exit, proxy_environment, run_job
from kvmwizard.packages.apt import APT_GET
from kvmwizard.plan.build_model import UnpackPackages
from kvmwizard.product import write_stamp
from kvmwizard.refusal import Refusal
from kvmwizard.text_rules import PACKAGE_NAME
from kvmwizard.words import Words, say

DPKG_DEB = "/usr/bin/dpkg-deb"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Of the package debian-archive-keyring; without it, apt takes the keys that the machine trusts anyway."""
ORIGIN = "Debian"
"""What Debian's own archive says in Origin and Label; security and backports have other labels."""
SUITE = r"[a-z][a-z0-9-]*"
PYTHON2 = "usr/bin/python2.7"

SETTINGS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Cmd::Pattern-Only "true";
"""
"""Read after the machine's own (apt-get(8), --config-file), whose proxies stay: nothing is run as a hook,
nothing is taken that is not signed, and no name for a pattern of names.
"""

WRAPPER = """\
#!/bin/sh
PYTHONHOME={folder}/usr exec {folder}/{program} "$@"
"""


@dataclass(frozen=True)
class Archive:
    """Where packages come from, and whose signature counts."""

    uri: str
    keyring: Path | None


def unpack_packages(job: Job) -> None:
    """Carry out an UnpackPackages. Raises Refusal, OSError."""
    action = UnpackPackages.model_validate(job.action)
    _refuse_what_apt_cannot(action)
    unpack_from(own_archive(), job, action)


def unpack_from(archive: Archive, job: Job, action: UnpackPackages) -> None:
    """Download, verify and unpack the packages from an archive. Raises Refusal, OSError."""
    folder, stamp = Path(action.folder), Path(action.stamp)
    stamp.unlink(missing_ok=True)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    for package in _downloaded(archive, job, action, part / "apt"):
        argv = (DPKG_DEB, "--extract", str(package), str(part))
        if job.run(argv, part).returncode != 0:
            raise Refusal(say("{package} could not be unpacked. Its log tells why.", package=package.name))
    shutil.rmtree(part / "apt")
    _write_wrapper(part, folder)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    _refuse_what_does_not_run(job, folder)
    outputs = [folder / PYTHON2, folder / Path(PYTHON2).name]
    told = say("unpacked, after apt verified them: {packages}", packages=", ".join(action.packages))
    about = {"archive": archive.uri, "suite": action.suite}
    write_stamp(stamp, action.identity, outputs, about, told)


def own_archive() -> Archive:
    """The distribution's own, as the machine's package sources name it. Raises Refusal, OSError."""
    form = "$(ORIGIN)\t$(LABEL)\t$(COMPONENT)\t$(REPO_URI)"
    targets = ""
    # Where there are no lists yet, apt shows its sources only when it need not say what they are.
    for more in ((), ("--no-release-info",)):
        targets += subprocess.run(
            (APT_GET, "indextargets", *more, "--format", form, "Identifier: Packages"),
            env=FIXED_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    uri = archive_uri(targets)
    if uri is None:
        raise Refusal(
            say(
                "None of this machine's package sources is {distribution}'s own archive, from which "
                "Python 2.7 would come. Add it to /etc/apt/sources.list and run apt-get update, or choose a "
                "newer version.",
                distribution=ORIGIN,
            )
        )
    return Archive(uri, KEYRING if KEYRING.is_file() else None)


def archive_uri(targets: str) -> str | None:
    """Where the distribution's own archive is, of lines of Origin, Label, Component and URI. Pure."""
    for line in targets.splitlines():
        origin, label, component, uri = [*line.split("\t"), "", "", "", ""][:4]
        # Without release information apt leaves the place as it is.
        unnamed = origin.startswith("$(") and uri.rstrip("/").endswith("/debian")
        ours = origin == label == ORIGIN or unnamed
        if ours and component == "main" and not uri.startswith("cdrom:"):
            return uri
    return None


def _refuse_what_apt_cannot(action: UnpackPackages) -> None:
    if action.manager != "apt":
        raise Refusal(
            say(
                "Packages of another release are unpacked with apt alone, not with {manager}.",
                manager=action.manager,
            )
        )
    if not re.fullmatch(SUITE, action.suite) or not all(
        re.fullmatch(PACKAGE_NAME, name) for name in action.packages
    ):
        raise Refusal(
            say(
                "The plan names packages that no archive has. "
                "Make a new plan on the page Review (kvmwizard, then Esc)."
            )
        )


def _downloaded(archive: Archive, job: Job, action: UnpackPackages, folder: Path) -> list[Path]:
    """The packages as files, each as the archive's signed lists have it. Raises Refusal, OSError."""
    packages = folder / "packages"
    for directory in (packages, folder / "lists" / "partial", folder / "cache" / "archives" / "partial"):
        directory.mkdir(parents=True)
    signed = f"[signed-by={archive.keyring}] " if archive.keyring is not None else ""
    (folder / "sources.list").write_text(f"deb {signed}{archive.uri} {action.suite} main\n", encoding="utf-8")
    (folder / "apt.conf").write_text(SETTINGS, encoding="ascii")
    places = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, place in places.items() for word in ("-o", f"{name}={place}")]
    apt = (APT_GET, "-c", str(folder / "apt.conf"), *options)
    job.progress.tell(say("Fetching the package lists of {suite}", suite=action.suite))
    _apt(job, (*apt, "update"), packages, archive, action.suite)
    job.progress.tell(say("Fetching {packages}", packages=", ".join(action.packages)))
    _apt(job, (*apt, "download", "--", *action.packages), packages, archive, action.suite)
    return sorted(packages.glob("*.deb"))


def _apt(job: Job, argv: tuple[str, ...], directory: Path, archive: Archive, suite: str) -> None:
    log = AttemptLog(job.log)
    if job.run(argv, directory, proxy_environment()).returncode != 0:
        raise Refusal(failure(log.end(), archive.uri, suite))


def failure(log: str, uri: str, suite: str) -> Words:
    """Why apt could not fetch, and what to do next. Pure."""
    if re.search(r"does not have a Release file|404 +Not Found|Unable to locate package", log):
        return say(
            "{uri} does not have {suite} any more, whose Python 2.7 is needed. Choose a mirror that has it "
            "in this machine's package sources, or choose a newer version.",
            uri=uri,
            suite=suite,
        )
    if re.search(r"NO_PUBKEY|is not signed|EXPKEYSIG|BADSIG|invalid signature|Hash Sum mismatch", log):
        return say(
            "What {uri} has as {suite} is not what the distribution signed, so nothing of it was used. "
            "Choose another mirror in this machine's package sources, then retry.",
            uri=uri,
            suite=suite,
        )
    return say(
        "{uri} could not be read. Check the network and the proxy, then retry; the log tells more.", uri=uri
    )


def _write_wrapper(part: Path, folder: Path) -> None:
    """Python looks for its modules beside itself, except where PYTHONHOME says otherwise (python2.7(1))."""
    if not (part / PYTHON2).is_file():
        return
    wrapper = part / Path(PYTHON2).name
    text = WRAPPER.format(folder=shlex.quote(str(folder)), program=PYTHON2)
    wrapper.write_text(text, encoding="utf-8")
    wrapper.chmod(0o755)


def _refuse_what_does_not_run(job: Job, folder: Path) -> None:
    argv = (str(folder / Path(PYTHON2).name), "-c", "import json, os, re, struct, sys; print(sys.version)")
    if job.run(argv, folder).returncode != 0:
        raise Refusal(
            say(
                "Python 2.7 was unpacked, but does not run on this machine; the log tells why. Choose a "
                "newer version."
            )
        )


WORK: dict[str, Work] = {"unpack-packages": unpack_packages}


def main(argv: Sequence[str]) -> int:
    """Do the action that the arguments name; see `kvmwizard.job`."""
    return run_job(argv, WORK)


if __name__ == "__main__":
    main_exit(main)
