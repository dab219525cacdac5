"""Small machines for tests, written as directory trees."""

import json
from collections.abc import Mapping
from pathlib import Path

from kvmwizard.host.host import Host

HOSTS = Path(__file__).parent.parent / "hosts"
RECORDED = tuple(sorted(path.name for path in HOSTS.iterdir() if path.is_dir()))


def make_host(  # noqa: PLR0913  -- a machine is described by this many parts, all by name
    root: Path,
    files: Mapping[str, str | bytes],
    *,
    links: Mapping[str, str] | None = None,
    programs: tuple[str, ...] = (),
    machine: Mapping[str, object] | None = None,
    commands: Mapping[str, str] | None = None,
) -> Host:
    """A recorded machine of these files, by their absolute paths."""
    root.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        place = _place(root, path)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    for path, target in (links or {}).items():
        _place(root, path).symlink_to(target)
    for path in programs:
        _place(root, path).touch(mode=0o755)
    if machine is not None:
        _place(root, "/.kvmwizard/machine.json").write_text(json.dumps(machine))
    if commands is not None:
        answers = {words: {"returncode": 0, "output": output} for words, output in commands.items()}
        _place(root, "/.kvmwizard/commands.json").write_text(json.dumps(answers))
    return Host(root)


def _place(root: Path, path: str) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
