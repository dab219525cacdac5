"""Packages of another release, from an archive of our own, through real apt, dpkg-deb and gpgv."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvmwizard.build.packages import DPKG_DEB, archive_uri, failure
from kvmwizard.host.host import command_environment
from kvmwizard.packages.apt import APT_GET
from kvmwizard.plan.build_model import UnpackPackages
from kvmwizard.product import Stamp, read_stamp
from tests.build.worker import IDENTITY, run_worker
from tests.mirror.signing import SigningKey

NAMES = ("libpython2.7-stdlib", "python2.7-minimal")
PYTHON = '#!/bin/sh\necho "home is $PYTHONHOME"\n'
SEVERAL = """\
Debian\tDebian-Security\tmain\thttp://mirror.example/debian-security/
Debian\tDebian\tcontrib\thttp://other.example/debian/
Debian\tDebian\tmain\tcdrom:[Debian 12]/
Debian\tDebian\tmain\thttp://mirror.example/debian/
"""
WORKER = """\
import os, sys
from pathlib import Path
from kvmwizard.build.packages import Archive, unpack_from
from kvmwizard.job import Job, Progress
from kvmwizard.packages.apt import APT_GET
from kvmwizard.plan.build_model import UnpackPackages
from kvmwizard.refusal import Refusal

action = UnpackPackages.model_validate_json(sys.argv[1])
job = Job({}, Progress(os.open(os.devnull, os.O_WRONLY)), os.open(sys.argv[4], os.O_RDONLY))
try:
    unpack_from(Archive(sys.argv[2], Path(sys.argv[3])), job, action)
except Refusal as refused:
    sys.exit("refused: " + refused.words.english)
"""

pytestmark = pytest.mark.skipif(not os.access(APT_GET, os.X_OK), reason="apt is not here")


@dataclass(frozen=True)
class Ended:
    returncode: int
    said: str
    stamp: Stamp | None


class DebianArchive:
    """A folder laid out as Debian's archive, with one suite."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder, self._key = folder, key
        self.keyring = folder / "keyring.asc"
        folder.mkdir()
        self.keyring.write_bytes(key.public.read_bytes())
        self._pool = folder / "pool"
        self._pool.mkdir()

    @property
    def uri(self) -> str:
        return f"file://{self.folder}"

    def add(self, name: str, files: dict[str, str]) -> Path:
        tree = self.folder / "tree" / name
        for path, text in files.items():
            place = tree / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755)
        control = tree / "DEBIAN" / "control"
        control.parent.mkdir()
        control.write_text(
            f"Package: {name}\nVersion: 2.7.18-8\nArchitecture: all\nMaintainer: N <n@example.org>\n"
            "Description: for a test\n"
        )
        package = self._pool / f"{name}_2.7.18-8_all.deb"
        subprocess.run(
            [DPKG_DEB, "--build", "--root-owner-group", tree, package], check=True, capture_output=True
        )
        return package

    def publish(self, suite: str = "bullseye") -> None:
        lists = self.folder / "dists" / suite / "main"
        stanzas = []
        for package in sorted(self._pool.glob("*.deb")):
            fields = subprocess.run(
                [DPKG_DEB, "--field", package], check=True, capture_output=True, text=True
            )
            content = package.read_bytes()
            stanzas.append(
                f"{fields.stdout.strip()}\nFilename: pool/{package.name}\nSize: {len(content)}\n"
                f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
            )
        release = [f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}"]
        release += [
            "Components: main\nArchitectures: all amd64 arm64\nDate: Sun, 22 Nov 2026 00:00:00 UTC\nSHA256:"
        ]
        for architecture in ("all", "amd64", "arm64"):
            index = lists / f"binary-{architecture}" / "Packages"
            index.parent.mkdir(parents=True, exist_ok=True)
            index.write_text("\n".join(stanzas))
            content = index.read_bytes()
            release.append(
                f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-{architecture}/Packages"
            )
        plain = self.folder / "dists" / suite / "Release.plain"
        plain.write_text("\n".join(release) + "\n")
        (self.folder / "dists" / suite / "InRelease").write_bytes(self._key.clearsigned(plain))


@pytest.fixture
def archive(signing_key: SigningKey, tmp_path: Path) -> DebianArchive:
    made = DebianArchive(tmp_path / "archive", signing_key)
    made.add(NAMES[0], {"usr/lib/python2.7/os.py": "# a module\n"})
    made.add(NAMES[1], {"usr/bin/python2.7": PYTHON})
    made.publish()
    return made


def action_for(folder: Path, **fields: object) -> UnpackPackages:
    usual = {
        "identity": IDENTITY,
        "stamp": str(folder / "python2.stamp"),
        "manager": "apt",
        "suite": "bullseye",
        "packages": NAMES,
        "folder": str(folder / "python2"),
    }
    return UnpackPackages.model_validate({**usual, **fields})


def unpack(archive: DebianArchive, folder: Path, **fields: object) -> Ended:
    """Unpack as the worker does, with an archive that is not the machine's own."""
    action = action_for(folder, **fields)
    log = folder / "step.log"
    with log.open("ab") as output:
        done = subprocess.run(
            [sys.executable, "-c", WORKER, action.model_dump_json(), archive.uri, archive.keyring, log],
            check=False,
            stdout=output,
            stderr=output,
            env={**command_environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=60,
        )
    return Ended(done.returncode, log.read_text(), read_stamp(Path(action.stamp)))


@pytest.mark.parametrize("name", ["build", 'it\'s a $(place) "here"'])
def test_packages_are_unpacked_and_run_from_their_folder(
    archive: DebianArchive, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    ended = unpack(archive, folder)
    assert ended.returncode == 0, ended.said
    assert ended.stamp is not None
    assert ended.stamp.whole
    assert ended.stamp.identity == IDENTITY
    assert sorted(path.name for path in folder.iterdir()) == ["python2", "python2.stamp", "step.log"]
    assert sorted(path.name for path in (folder / "python2").iterdir()) == ["python2.7", "usr"]
    said = subprocess.run(
        [folder / "python2" / "python2.7"], check=True, capture_output=True, text=True
    ).stdout
    assert said == f"home is {folder}/python2/usr\n"


def test_what_was_there_before_is_replaced(archive: DebianArchive, tmp_path: Path) -> None:
    left = tmp_path / "python2.part" / "usr"
    left.mkdir(parents=True)
    (left / "half").touch()
    (tmp_path / "python2").mkdir()
    (tmp_path / "python2" / "old").touch()
    assert unpack(archive, tmp_path).returncode == 0
    assert not (tmp_path / "python2" / "old").exists()
    assert not list((tmp_path / "python2").rglob("half"))


def test_a_package_that_was_changed_is_not_unpacked(archive: DebianArchive, tmp_path: Path) -> None:
    package = next((archive.folder / "pool").glob("python2.7-minimal*"))
    content = bytearray(package.read_bytes())
    content[-8] ^= 1
    package.write_bytes(content)
    ended = unpack(archive, tmp_path)
    assert "is not what the distribution signed" in ended.said
    assert ended.stamp is None
    assert not (tmp_path / "python2").exists()


def test_lists_that_were_changed_are_not_believed(archive: DebianArchive, tmp_path: Path) -> None:
    signed = archive.folder / "dists" / "bullseye" / "InRelease"
    signed.write_text(signed.read_text().replace("Label: Debian", "Label: Debias"))
    ended = unpack(archive, tmp_path)
    assert "refused: " in ended.said
    assert "is not what the distribution signed" in ended.said
    assert not (tmp_path / "python2").exists()


def test_lists_that_nobody_signed_are_not_believed(archive: DebianArchive, tmp_path: Path) -> None:
    suite = archive.folder / "dists" / "bullseye"
    (suite / "InRelease").unlink()
    (suite / "Release.plain").rename(suite / "Release")
    ended = unpack(archive, tmp_path)
    assert "is not what the distribution signed" in ended.said
    assert ended.returncode == 1


def test_an_archive_without_the_suite_is_told_of(archive: DebianArchive, tmp_path: Path) -> None:
    ended = unpack(archive, tmp_path, suite="buster")
    assert "does not have buster any more" in ended.said


def test_an_archive_without_the_package_is_told_of(archive: DebianArchive, tmp_path: Path) -> None:
    ended = unpack(archive, tmp_path, packages=("python2.7",))
    assert "does not have bullseye any more" in ended.said
    assert ended.stamp is None


def test_a_python_that_does_not_run_is_no_product(archive: DebianArchive, tmp_path: Path) -> None:
    archive.add("python2.7", {"usr/bin/python2.7": "#!/bin/sh\nexit 1\n"})
    archive.publish()
    ended = unpack(archive, tmp_path, packages=("python2.7",))
    assert "does not run on this machine" in ended.said
    assert ended.stamp is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"manager": "dnf"}, "with apt alone"),
        ({"suite": "../etc"}, "names packages that no archive has"),
        ({"packages": ("--option=Dir::Etc=/",)}, "names packages that no archive has"),
    ],
)
def test_what_apt_cannot_do_is_refused_by_the_worker(
    tmp_path: Path, fields: dict[str, object], said: str
) -> None:
    ended = run_worker(action_for(tmp_path, **fields), tmp_path)
    assert ended.returncode == 1
    assert said in ended.refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step.log", "step.progress"]


@pytest.mark.parametrize(
    ("targets", "uri"),
    [
        ("Debian\tDebian\tmain\thttp://mirror.example/debian/\n", "http://mirror.example/debian/"),
        (SEVERAL, "http://mirror.example/debian/"),
        ("$(ORIGIN)\t$(LABEL)\tmain\thttp://mirror.example/debian/\n", "http://mirror.example/debian/"),
        ("$(ORIGIN)\t$(LABEL)\tmain\thttp://mirror.example/debian-security/\n", None),
        ("Example\tExample\tmain\thttp://example.org/debian/\n", None),
        ("", None),
    ],
)
def test_the_distributions_own_archive(targets: str, uri: str | None) -> None:
    assert archive_uri(targets) == uri


def test_a_network_that_is_down_is_told_of() -> None:
    words = failure(
        "Err:1 Could not connect to mirror.example:80", "http://mirror.example/debian", "bullseye"
    )
    assert words.english.startswith("http://mirror.example/debian could not be read.")
