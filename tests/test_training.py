"""Training in memory with a schedule, whatever cuts the steps."""

import jax
import numpy as np
import toys
from schedule_cases import SOURCE, made

from ensgan import schedules
from ensgan.training import train


def test_training_in_parts_is_training_at_once():
    for name in ("population_based", "cascade"):
        game, _ = made(name)
        once, _ = train(game, game.init(jax.random.key(0)), SOURCE, steps=25)
        parts, _ = train(game, game.init(jax.random.key(0)), SOURCE, steps=10)
        parts, _ = train(game, parts, SOURCE, steps=15)
        plain = lambda state: state._replace(key=())
        jax.tree.map(np.testing.assert_array_equal, plain(once), plain(parts))


def test_reports_are_means_since_the_last_call_however_often_the_schedule_acts():
    game = toys.game(2, 2, schedule=schedules.exchange(2))
    seen = {1: [], 6: []}
    for every, infos in seen.items():
        callback = lambda state, info, infos=infos: infos.append(jax.device_get(info))
        _, last = train(game, game.init(jax.random.key(0)), SOURCE, steps=9, callback=callback, every=every)
    mean = lambda parts: jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *parts)
    assert len(seen[6]) == 2
    toys.assert_close(seen[6][0], mean(seen[1][:6]))
    toys.assert_close(seen[6][1], mean(seen[1][6:]))
    toys.assert_close(jax.device_get(last), seen[6][1], 0.0)
