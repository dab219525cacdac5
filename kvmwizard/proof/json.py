"""A proof for programs: one JSON object, never translated."""

from typing import Any

from kvmwizard.proof.model import Proof, ProofLevel


def proof_report(proof: Proof) -> dict[str, Any]:
    """The object that `kvmwizard verify --json` prints."""
    return {
        "good": proof.good,
        "verdict": proof.verdict.english,
        "user": proof.user,
        "qemu": proof.qemu,
        "levels": [_level_report(level) for level in proof.levels],
        "command_line": list(proof.command_line),
    }


def _level_report(level: ProofLevel) -> dict[str, Any]:
    return {
        "id": level.id,
        "title": level.title.english,
        "outcome": level.outcome.value,
        "found": level.found.english,
        "seconds": level.seconds,
        "remedy": level.remedy.english if level.remedy is not None else None,
    }
