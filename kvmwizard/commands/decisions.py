"""What a person wants of this machine, or a plain refusal where it cannot be done."""

from kvmwizard.answers import Answers, answer_problems, completed_answers, user_problem
from kvmwizard.catalog.feasibility import build_problems
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.host.facts import Facts
from kvmwizard.words import say


def require_user(name: str, facts: Facts) -> None:
    """Raises CommandRefused where the machine has no such user."""
    problem = user_problem(name, facts)
    if problem is not None:
        raise CommandRefused(ExitCode.WRONG_USE, problem)


def feasible_answers(answers: Answers, facts: Facts) -> Answers:
    """The answers with every page filled. Raises CommandRefused where this machine cannot do them."""
    completed = completed_answers(answers, facts)
    problems = (*answer_problems(completed, facts), *build_problems(completed, facts))
    if problems:
        raise CommandRefused(
            ExitCode.WRONG_USE,
            say("These answers cannot be carried out on this machine:"),
            tuple(
                say("{key}: {problem}", key=f"{problem.page}.{problem.field}", problem=problem.words)
                for problem in problems
            ),
        )
    return completed
