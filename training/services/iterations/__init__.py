"""Turns of the loop: composing one from a recipe, planning it, starting its steps, holding it, and forking it.

`start_next` does the next sensible thing and may be called again at any time: what was started already is not started
twice, and what was done already, here or in another iteration, is not done again. `note_success` moves an iteration on
when a run of it ends well.
"""

from training.services.iterations.compose import create_iteration
from training.services.iterations.forking import fork_iteration
from training.services.iterations.holding import pause_iteration, resume_iteration
from training.services.iterations.planning import Fate, PlanLine, plan_iteration
from training.services.iterations.rows import actual_runs, key_of, steps_of
from training.services.iterations.starting import next_action, note_success, start_next

__all__ = [
    "Fate",
    "PlanLine",
    "actual_runs",
    "create_iteration",
    "fork_iteration",
    "key_of",
    "next_action",
    "note_success",
    "pause_iteration",
    "plan_iteration",
    "resume_iteration",
    "start_next",
    "steps_of",
]
