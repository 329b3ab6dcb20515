import pytest

from naqsh.training.diagnosis import PATIENCE, Diagnosis

SLOW = 20
RULES = {  # name, a bad value, a good one, a word that is said, the bad value as said, patience
    "saturated": ("critic.accuracy", 0.999, 0.8, "saturated", "99.9%", PATIENCE),
    "no better than a coin": ("critic.accuracy", 0.5, 0.8, "coin", "50.0%", PATIENCE),
    "collapse": ("generator.diversity", 0.05, 0.9, "collapse", "5.0%", PATIENCE),
    "collapsed posterior": ("vae.kl", 0.03, 12.0, "posterior", "0.03 nats", SLOW),
    "overfitting": ("validation.gap", 0.03, 0.0, "memorises", "3.0%", PATIENCE),
    "worse samples": ("samples.frechet_rise", 0.6, 0.1, "Fréchet", "60.0%", 1),
    "critic leads": ("critics.critic_b", 0.013, 0.2, "discriminator", "0.013", SLOW),
    "generator leads": ("generators.to_a", 0.031, 0.4, "generator", "0.031", SLOW),
    "locked controller": ("vae.saturated", 1.0, 0.4, "set point", "100.0%", SLOW),
}


def feed(diagnosis, name, values):
    return [said.words for value in values for said in diagnosis.read({name: value})]


@pytest.mark.parametrize("rule", RULES)
def test_speaks_once_and_once_more_when_it_is_over(rule):
    name, bad, good, word, value, patience = RULES[rule]
    diagnosis = Diagnosis()
    assert feed(diagnosis, name, [bad] * (patience - 1)) == []
    (said,) = feed(diagnosis, name, [bad])
    assert word in said
    assert value in said
    assert "Try" in said or "Look" in said
    assert feed(diagnosis, name, [bad] * 20) == []
    (over,) = feed(diagnosis, name, [good])
    assert over == f"{name} is back within bounds, at {good:.3g}."
    assert feed(diagnosis, name, [good] * 20) == []
    assert len(feed(diagnosis, name, [bad] * patience)) == 1


def test_what_is_said_names_its_rule_and_its_number():
    diagnosis = Diagnosis()
    for _ in range(PATIENCE - 1):
        assert diagnosis.read({"critic.accuracy": 0.999}) == []
    (said,) = diagnosis.read({"critic.accuracy": 0.999})
    assert (said.rule, said.metric, said.value) == (
        "saturated_discriminator",
        "critic.accuracy",
        0.999,
    )
    (over,) = diagnosis.read({"critic.accuracy": 0.8})
    assert (over.rule, over.metric, over.value) == ("back", "critic.accuracy", 0.8)


@pytest.mark.parametrize("rule", RULES)
def test_a_short_while_is_not_told(rule):
    name, bad, good, _, _, patience = RULES[rule]
    assert feed(Diagnosis(), name, ([bad] * (patience - 1) + [good]) * 5) == []


def test_phases_are_counted_apart():
    diagnosis = Diagnosis()
    for _ in range(PATIENCE - 1):
        assert diagnosis.read({"a.accuracy": 1.0, "b.accuracy": 0.7}) == []
    assert diagnosis.read({"a.accuracy": 0.7, "b.accuracy": 1.0}) == []
    assert feed(diagnosis, "b.accuracy", [1.0] * (PATIENCE - 2)) == []
    assert len(feed(diagnosis, "b.accuracy", [1.0])) == 1


def test_other_numbers_are_left_alone():
    names = ["critic.total", "critic.inaccuracy", "accuracy.total", "generator.diversity.x"]
    assert [w for name in names for w in feed(Diagnosis(), name, [0.0] * 9 + [1.0] * 9)] == []


def test_healthy_numbers_are_not_remarked_on():
    diagnosis = Diagnosis()
    assert feed(diagnosis, "critic.accuracy", [0.53, 0.7, 0.9, 0.985] * 5) == []
    assert feed(diagnosis, "generator.diversity", [0.21, 0.7, 1.0, 1.4] * 5) == []


def test_where_each_discriminator_is_watched_their_accuracy_is_not():
    diagnosis = Diagnosis()
    values = {"critics.accuracy": 0.999, "critics.critic_a": 0.1}
    assert [diagnosis.read(values) for _ in range(2 * SLOW)] == [[]] * 2 * SLOW
    leads = [diagnosis.read(values | {"critics.critic_a": 0.001}) for _ in range(SLOW)]
    assert [said.rule for (said,) in leads[-1:]] == ["critic_leads"]
