"""What the server refuses and what the machine lacks: one clear sentence, and training goes on."""
import pytest
from campaign import FAST


def problem_of(place):
    return place.wait(lambda: place.sql("SELECT problem FROM wandb_sweep WHERE problem IS NOT NULL"), "a problem")[0][0]


def train(place, **wandb):
    """Three jobs are done while nothing can be sent."""
    job = place.submit_wandb(3, 4, wandb=wandb)
    for each in range(job, job + 3):
        place.wait_state(each, "done")
    return job


def test_no_key(place, fake):
    place.start()
    place.forward(*FAST, env={"WANDB_API_KEY": ""})
    train(place)
    problem = problem_of(place)
    assert "key" in problem and "sweepctl wandb login" in problem
    assert place.said().count(problem) == 1
    assert not fake.requests


def test_a_wrong_key(place, fake):
    fake.wrong_key_expected = True
    wrong = "f" * 40
    place.start()
    place.forward(*FAST, env={"WANDB_API_KEY": wrong})
    train(place)
    problem = problem_of(place)
    assert "key" in problem and wrong not in problem + place.said() + place.log()
    assert fake.unauthorized < 10 and fake.state()["runs"] == {}
    place.kill_forward()
    place.forward(*FAST)  # with the right one
    place.wait_forwarded(1, 2, 3)
    assert [text for job in (1, 2, 3) for text in place.compare(job)] == []
    assert place.sql("SELECT problem FROM wandb_sweep WHERE problem IS NOT NULL") == []


def test_a_forbidden_project(place, fake):
    fake.records.forbidden.add("secret")
    place.start()
    place.forward(*FAST)
    train(place, project="secret")
    problem = problem_of(place)
    assert "secret" in problem and "permission denied" in problem


@pytest.mark.parametrize("status", [400, 409, 410])
def test_one_run_is_refused_and_the_others_go_on(place, fake, status):
    place.start()
    place.forward(*FAST)
    fake.fault(channel="file_stream", status=status, body={"error": "run was deleted"}, run=None)
    train(place)
    place.wait(lambda: place.sql("SELECT count(*) FROM wandb_run WHERE phase IN ('finished', 'refused')") == [(3,)],
               "the runs to come to an end")
    (refused, problem), = place.sql("SELECT job, problem FROM wandb_run WHERE phase = 'refused'")
    assert "run was deleted" in problem and "wandb export" in problem
    assert problem in place.ctl("show", refused).stdout
    assert [text for job in (1, 2, 3) if job != refused for text in place.compare(job)] == []
