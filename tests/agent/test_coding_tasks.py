"""Twelve coding tasks: agent process, gateway process, scripted model, on all three wires; what counts is the files."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.agent.agent_process import WIRES, AgentRun, Place, played
from tests.agent.conftest import Model
from tests.agent.tasks import TASKS, CodingTask

from beyond_ai.testing.model_call import Wire


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_task_is_done_on_every_wire(task: CodingTask, model: Model, place: Place, tmp_path: Path) -> None:
    if task is TASKS[0]:
        place.nursery = None  # one of them with whole starts, which take most of the time
    model(then=played(*task.turns))
    places = {wire: _prepared(task, tmp_path / wire, place) for wire in WIRES}
    before = {wire: there.tree() for wire, there in places.items()}

    def run(wire: Wire) -> AgentRun:
        return places[wire].run("--json", "--max-turns", "8", "do it", wire=wire)

    with ThreadPoolExecutor(len(WIRES)) as pool:
        done = dict(zip(WIRES, pool.map(run, WIRES), strict=True))
    for wire, ran in done.items():
        assert ran.code == 0, ran
        last = ran.of("turn_end")[-1]
        assert str(last["text"]).startswith("DONE"), f"{wire}: {last['text']}"
        _check_left(task, places[wire], before[wire])
        assert ran.result["status"] == "done"
        assert ran.seconds < 20


def _prepared(task: CodingTask, folder: Path, like: Place) -> Place:
    for name in ("work", "home"):
        (folder / name).mkdir(parents=True)
    there = Place(folder / "work", folder / "home", like.gateway_url, like.key, like.environment, nursery=like.nursery)
    there.write(task.files)
    task.prepare(there)
    return there


def _check_left(task: CodingTask, place: Place, before: dict[str, bytes]) -> None:
    expected = before | {
        name: content.encode() if isinstance(content, str) else content
        for name, content in task.left.items()
        if content is not None
    }
    for name in [name for name, content in task.left.items() if content is None]:
        del expected[name]
    found = {name: content for name, content in place.tree().items() if not set(Path(name).parts) & set(task.made)}
    assert found == expected
    task.check(place)
