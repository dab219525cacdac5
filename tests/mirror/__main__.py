"""The mirror as a process: `python -m tests.mirror DIRECTORY --kernel 6.1=TREE --qemu 10.0.13=TARBALL`.

Prints one JSON line with its addresses and its key once it serves, and serves until it is
ended (SIGTERM). For machines whose tests run in namespaces of their own.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tests.mirror.faults import Fault
from tests.mirror.mirror import Mirror
from tests.mirror.signing import SigningKey


def main() -> None:
    """Make the releases and tags, say where they are, and serve."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    with SigningKey.make() as key, Mirror(options.directory, key, options.port) as mirror:
        for version, source in options.kernel:
            mirror.layout.add_kernel(version, source)
        for version, source in options.qemu:
            mirror.layout.add_qemu(version, source)
        for tag, tree in options.kernel_tag:
            mirror.add_kernel_tag(tag, tree)
        for tag, tree in options.qemu_tag:
            mirror.add_qemu_tag(tag, tree)
        if options.kernel:
            mirror.layout.write_releases(stable=options.kernel[-1][0])
        for kind, path in options.fault:
            mirror.fault(path, Fault(kind, after=options.after, rate=options.rate))
        public = options.directory / "key.asc"
        public.write_bytes(key.public.read_bytes())
        said = {
            "kernel_url": mirror.kernel_url,
            "qemu_url": mirror.qemu_url,
            "releases_url": mirror.releases_url,
            "kernel_git": mirror.kernel_git,
            "qemu_git": mirror.qemu_git,
            "key": str(public),
            "fingerprint": key.fingerprint,
        }
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        done.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    for name in ("kernel", "qemu", "kernel-tag", "qemu-tag"):
        parser.add_argument(
            f"--{name}", type=_named_path, action="append", default=[], metavar="VERSION=PATH"
        )
    parser.add_argument("--fault", type=_named_fault, action="append", default=[], metavar="KIND=PATH")
    parser.add_argument("--after", type=int, default=0, help="after how many bytes a fault shows")
    parser.add_argument("--rate", type=int, default=100_000, help="bytes a second of the fault slow")
    return parser.parse_args()


def _named_path(text: str) -> tuple[str, Path]:
    version, _, path = text.partition("=")
    return version, Path(path)


def _named_fault(text: str) -> tuple[str, str]:
    kind, _, path = text.partition("=")
    return kind, path


if __name__ == "__main__":
    main()
