"""Makes, starts and asks about runs, as the front ends do; runs inside a throwaway machine.

control.py STATE_DIRECTORY make USER
control.py STATE_DIRECTORY take PLAN_FILE
control.py STATE_DIRECTORY root|start|retry|state|stop|undo RUN
"""

import json
import sys
from pathlib import Path

from kvmwizard.answers import AccessAnswer, proposed_answers
from kvmwizard.host.gather import gather
from kvmwizard.host.host import Host
from kvmwizard.plan.make import make_plan
from kvmwizard.plan.model import Plan
from kvmwizard.run.launch import open_root_helper, root_helper_needed, start_runner, stop_run
from kvmwizard.run.refused import RunRefused
from kvmwizard.run.store import RunStore
from kvmwizard.run.undo import undo_plan


def make(store: RunStore, user: str) -> str:
    """A run of the proposed answers, for the user."""
    facts = gather(Host())
    answers = proposed_answers(facts).model_copy(update={"access": AccessAnswer(user=user)})
    return store.create(make_plan(facts, answers))


def state(store: RunStore, run_id: str) -> str:
    """What a front end would show, as JSON."""
    found = store.read(run_id)
    steps = {
        name: {"status": each.status, "attempts": each.attempts, "words": each.words and each.words.english}
        for name, each in found.steps.items()
    }
    progress = {name: store.progress(run_id, name) for name in steps if steps[name]["status"] == "running"}
    return json.dumps(
        {
            "status": found.status,
            "steps": steps,
            "notice": found.notice and found.notice.english,
            "progress": {name: each and each.words.english for name, each in progress.items()},
            "root_needed": root_helper_needed(store, run_id),
        }
    )


def act(store: RunStore, verb: str, subject: str) -> str | None:
    """One verb; what it answers."""
    if verb == "make":
        return make(store, subject)
    if verb == "take":
        return store.create(Plan.model_validate_json(Path(subject).read_bytes()))
    if verb == "root":
        refused = open_root_helper(store, subject, ask=sys.stdin.isatty())
        return refused.words.english if refused else None
    if verb in {"start", "retry"}:
        start_runner(store, subject, retry=verb == "retry")
    elif verb == "stop":
        stop_run(store, subject)
    elif verb == "undo":
        return store.create(undo_plan(store, subject))
    else:
        return state(store, subject)
    return None


def main() -> int:
    """Say the answer; a refusal goes to standard error, with exit code 1."""
    directory, verb, subject = sys.argv[1:]
    try:
        answer = act(RunStore(Path(directory)), verb, subject)
    except RunRefused as refused:
        sys.stderr.write(f"{refused.words.english}\n")
        return 1
    if answer is not None:
        sys.stdout.write(f"{answer}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
