"""A game on a mesh is the same game: equal to one device, three large collectives, and an equal share of the work."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from collectives import collectives
from flax import nnx
from labelled import SOURCE, conditional

from ensgan import losses, networks, pairing, penalties
from ensgan.data import Source, from_arrays
from ensgan.devices import mesh
from ensgan.devices.division import choose
from ensgan.devices.mesh import Sizes
from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.placement import check_mesh, start, to_divide
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.game.replicas import Replicas
from ensgan.training import train
from ensgan.types import Augment, Claims, InputError, Roster, Schedule

POINTS = np.random.default_rng(0).normal(size=(200, 2))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def on(member, data):
    return mesh.make(member, data)


def plain(state):
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def numbers(info):
    """A report whose pairs that were not played compare as equal."""
    return jax.tree.map(lambda leaf: np.nan_to_num(np.asarray(leaf), nan=-1.0), info)


def compare(game, source, sizes, steps=20, tolerance=1e-9):
    alone, report = Program(game, source)(start(game), steps)
    there = on(*sizes)
    state, info = Program(game, source, there)(start(game, 0, there), steps)
    assert state.generators[0].params["w1"].sharding.num_devices == sizes[0] * sizes[1]
    toys.assert_close(plain(state), plain(alone), tolerance)
    toys.assert_close(numbers(info), numbers(report), tolerance)


def small(**settings):
    game = toys.game(4, 4, optimizer=optax.adam(1e-2), **settings)
    # One after the other, as a CPU has it, they are more code to compile.
    groups = [dataclasses.replace(group, execute="vmap") for group in game.groups_d]
    return dataclasses.replace(game, discriminators=groups)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("hinge", "relativistic") else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(losses.LOSSES)
    ],
)
def test_every_loss(float64, name):
    compare(
        small(loss=losses.LOSSES[name], pairing=pairing.softmax(1.0, own=0.3)), from_arrays("points", POINTS), (2, 2)
    )


def paused(M, N):
    return Roster(np.arange(M) != 1, np.arange(N) < 3, np.arange(M) > 1, np.arange(N) < 4)


IDLE = Schedule(100, lambda game, state, source, num: state, claims=Claims(roster=paused, hyper=frozenset({"penalty"})))


def noisy(keys, x, strength):
    return x + strength * jax.vmap(lambda k: jax.random.normal(k, (2,)))(keys)


HARD, SOFT = losses.hinge, losses.non_saturating
CASES = {
    "members alone": ((4, 1), {"pairing": pairing.dropout(0.5)}),
    "several logits and shared parts": ((2, 2), {"loss": losses.mgan(0.5), "heads": (5,), "shared": ("w1", "b")}),
    "a roster": ((4, 1), {"schedule": IDLE, "penalty": penalties.r1(0.1), "pairing": pairing.ring()}),
    "samples alone": ((1, 4), {"penalty": penalties.r1_r2(0.1)}),
    "penalties": ((2, 2), {"penalty": [penalties.r1_r2(np.arange(4.0)), penalties.gradient_penalty(0.1, interval=3)]}),
    "split": ((2, 2), {"coverage": "split", "pairing": pairing.softmax(1.0), "penalty": penalties.r1_r2(0.1)}),
    "neighbours": ((2, 2), {"coverage": "neighbours", "pairing": pairing.ring(), "penalty": penalties.r2(0.1)}),
    "diagonal": ((4, 2), {"pairing": pairing.diagonal(), "loss": losses.relativistic}),
    "alternating": ((2, 2), {"update": "alternating", "n_critic": 2, "penalty": penalties.r1(0.1)}),
    "adaptive augmentation": ((2, 2), {"augment": Augment(noisy, 0.1, target=0.0, ramp=80.0)}),
    "losses of their own": ((2, 2), {"loss": losses.per_member([HARD, SOFT, SOFT, HARD], [SOFT, HARD, SOFT, HARD])}),
    "statistics of the batch": ((4, 1), {"coupled": True, "loss": losses.relativistic}),
}


SOME = ("alternating", "neighbours", "penalties", "several logits and shared parts", "split")


@pytest.mark.parametrize(
    "name", [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in sorted(CASES)]
)
def test_every_way_to_play(float64, name):
    sizes, settings = CASES[name]
    compare(small(**settings), from_arrays("points", POINTS), sizes)


TRUNK = networks.trunk_and_heads(toys.dense(2, 6, (4,)), toys.dense(4, 5, ()))
COUNTS = {
    "one": ((2, 2), {"compare": "one", "loss": losses.relativistic}),
    "all": ((2, 2), {"compare": "all", "loss": losses.relativistic, "penalty": penalties.r1_r2(0.1)}),
    "dealt": ((2, 2), {"compare": "one", "loss": losses.relativistic, "coverage": "split"}),
    "heads": ((1, 4), {"compare": "all", "loss": losses.relativistic, "penalty": penalties.r1_r2(0.1), "trunk": True}),
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_numbers_of_reals_and_fakes(float64, name):
    sizes, settings = COUNTS[name]
    heads = settings.pop("trunk", False)
    game = dataclasses.replace(small(**settings), batch_size=0, reals=16, fakes=8)
    if heads:
        game = dataclasses.replace(game, discriminators=[Group(TRUNK, 4, shared=("trunk",))])
    compare(game, from_arrays("points", POINTS), sizes, steps=5)


def gram(evidence):
    """Weights that depend on every entry of the Gram matrix."""
    return jax.nn.softmax(-jnp.einsum("mjk->mj", evidence.gram), axis=1)


def test_input_gradients_of_all_pairs_come_together(float64):
    base = pairing.mean()
    asks = base._replace(asks=frozenset({"gram"}), after=lambda s, e, k: (gram(e), *base.after(s, e, k)[1:]))
    compare(small(pairing=asks), from_arrays("points", POINTS), (2, 2), steps=5)


@pytest.mark.parametrize("coverage", ["full", pytest.param("split", marks=pytest.mark.slow)])
def test_mixed_architectures_and_scales_of_latents(float64, coverage):
    game = Game(
        [
            Group(toys.dense(3, 5, (2,)), 2, latent=normal(np.array([0.5, 2.0]))),
            Group(toys.dense(4, 7, (2,), state=True), 4, optimizer=optax.sgd(0.1)),
        ],
        [Group(toys.dense(2, 5, ()), 4), Group(toys.dense(2, 6, ()), 2)],
        pairing=pairing.softmax(1.0),
        penalty=penalties.r1_r2(0.1),
        coverage=coverage,
        batch_size=12,
    )
    compare(game, from_arrays("points", POINTS), (2, 2), steps=5)


def test_batch_norm_of_flax_sees_the_whole_batch():
    # In float32, as flax keeps its statistics; plain steps do not amplify rounding as Adam does.
    game = Game(
        [Group(networks.mlp(3, (5,), (2,), norm="batch"), 2)],
        [Group(networks.mlp((2,), (5,), (), norm="batch"), 2)],
        penalty=penalties.r1(0.1),
        optimizer=optax.sgd(0.1),
        batch_size=8,
    )
    points, there = from_arrays("points", POINTS.astype(np.float32)), on(1, 2)
    alone, report = Program(game, points)(start(game), 3)
    state, info = Program(game, points, there)(start(game, 0, there), 3)
    toys.assert_close(plain(state), plain(alone), 1e-5)
    toys.assert_close(numbers(info), numbers(report), 1e-5)


def test_streamed_data_are_spread(float64):
    read = lambda step, size: {"x": POINTS[np.random.default_rng(step).integers(140, size=size)]}
    held = from_arrays("points", POINTS)
    source = Source(name="stream", shape=(2,), arrays={}, draw=None, read=read, held_out=held.held_out, num=held.num)
    compare(small(update="alternating", n_critic=2), source, (2, 2), steps=3)


def test_reals_and_weights_of_their_own_are_spread(float64):
    def read(step, size):
        rng = np.random.default_rng(step)
        return {"x": rng.normal(size=(4, size, 2)), "weight": rng.uniform(size=(4, size))}

    held = from_arrays("points", POINTS)
    source = Source(name="own", shape=(2,), arrays={}, draw=None, read=read, held_out=held.held_out, num=held.num)
    compare(small(loss=losses.relativistic), source, (2, 2), steps=3)


class Minibatch(nnx.Module):
    """A batch norm, and a statistic of the batch beside it."""

    def __init__(self, rngs):
        self.first, self.norm, self.last = (
            nnx.Linear(2, 4, rngs=rngs),
            nnx.BatchNorm(4, rngs=rngs),
            nnx.Linear(5, 1, rngs=rngs),
        )

    def __call__(self, x):
        h = self.norm(self.first(x))
        return self.last(jnp.concatenate([h, jnp.broadcast_to(h.std(axis=0).mean(), (len(h), 1))], axis=1))


def test_statistics_that_nobody_gathers_keep_a_batch_together():
    network = networks.from_nnx(lambda rngs: Minibatch(rngs), 2, (), batch_coupled=True)
    assert not network.synced
    game = Game([Group(toys.dense(3, 5, (2,)), 2)], [Group(network, 2)], batch_size=8)
    with pytest.raises(InputError, match="cannot be spread over data=2"):
        check_mesh(game, Sizes(1, 2))


def test_a_bare_iterator_cannot_feed_several_processes(monkeypatch):
    source = dataclasses.replace(from_arrays("points", POINTS.astype(np.float32)), draw=None, resumable=False)
    there = on(2, 2)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="so several processes cannot read the same"):
        Program(small(), source, there)


def test_replicas_lie_on_a_mesh_as_well(float64):
    points = from_arrays("points", POINTS)
    replicas = Replicas(small(penalty=penalties.r1(0.1, interval=2)), seeds=[3, 8])
    alone, report = Program(replicas, points)(start(replicas), 3)
    there = on(2, 2)
    state, info = Program(replicas, points, there)(start(replicas, mesh=there), 3)
    toys.assert_close(plain(state), plain(alone), 1e-9)
    toys.assert_close(numbers(info), numbers(report), 1e-7)  # strengths of penalties are float32


def test_training_in_memory_takes_a_mesh_and_leaves_the_state_on_it():
    points = from_arrays("points", POINTS.astype(np.float32))
    game, there = small(pairing=pairing.softmax(1.0)), on(2, 2)
    state, info = train(game, game.init(jax.random.key(0)), points, steps=3, mesh=there)
    assert state.generators[0].params["w1"].sharding.spec[0] == "member"
    _, report = train(game, game.init(jax.random.key(0)), points, steps=3)
    toys.assert_close(numbers(info), numbers(report), 1e-4)
    here = mesh.local(there, state)
    assert here.generators[0].params["w1"].sharding.num_devices == 1
    toys.assert_close(plain(here), plain(state), 0.0)


def test_a_fault_is_seen_from_every_device():
    points = from_arrays("points", POINTS.astype(np.float32))
    game, there = small(), on(2, 2)
    state = game.init(jax.random.key(0))
    bad = state.discriminators[0].params["w2"].at[3, 0].set(jnp.inf)
    sick = state.discriminators[0]._replace(params={**state.discriminators[0].params, "w2": bad})
    sick = state._replace(discriminators=(sick,))
    before = plain(sick)
    with pytest.raises(InputError, match=r"discriminator 3 stopped being finite in step 1 \(its output\)") as stopped:
        train(game, sick, points, steps=4, mesh=there)
    toys.assert_close(plain(stopped.value.state).generators, before.generators, 0.0)


LARGE = {"all-gather", "reduce-scatter", "all-reduce", "all-to-all"}


def compiled(coverage, sizes, M=8, N=8, B=512):
    game = Game(
        [Group(networks.mlp(16, (256, 256), 784), M)],
        [Group(networks.mlp(784, (256, 256), 1), N, execute="vmap")],
        pairing=pairing.softmax(1.0),
        coverage=coverage,
        batch_size=B,
    )
    source = from_arrays("images", np.zeros((1000, 784), np.float32))
    there = on(*sizes) if sizes else None
    program = Program(game, source, there)
    program.compile(start(game, 0, there))
    return program._run


@pytest.mark.parametrize("coverage", ["full", "split"])
def test_work_and_traffic_of_a_device(coverage):
    alone, spread_out = compiled(coverage, None), compiled(coverage, (4, 2))
    share = spread_out.cost_analysis()["flops"] / alone.cost_analysis()["flops"]
    assert share == pytest.approx(1 / 8, rel=0.02)

    found = collectives(spread_out.as_text())
    assert {kind for kind, _ in found} <= LARGE
    fakes = 8 * 256 * 784 * 4  # bytes of all fakes of the samples of one device
    weights = 2 * (16 * 256 + 256 * 256 + 256 * 784 + 256 + 256 + 784)  # of two generators
    weights += 2 * (784 * 256 + 256 * 256 + 256 + 256 + 256 + 1)  # and of two discriminators
    large = sorted(found, key=lambda each: -each[1])[:3]
    if coverage == "full":
        assert sorted(kind for kind, _ in large) == ["all-gather", "all-reduce", "reduce-scatter"]
        sizes = dict(large)
        assert (sizes["all-gather"], sizes["reduce-scatter"]) == (fakes, fakes // 4)
    else:  # a quarter of the bytes: each device gets what is dealt to its own discriminators
        assert sorted(kind for kind, _ in large) == ["all-reduce", "all-to-all", "all-to-all"]
        assert [size for kind, size in large if kind == "all-to-all"] == [fakes // 4, fakes // 4]
        sizes = dict(large)
    assert sizes["all-reduce"] == pytest.approx(4 * weights, rel=0.001)
    rest = sum(size for _, size in found) - sum(size for _, size in large)
    assert rest < 0.01 * sum(size for _, size in large)


def test_sizes_are_read():
    assert mesh.parse("member=4,data=2") == Sizes(4, 2)
    assert mesh.parse(" data = 2 ") == Sizes(1, 2)
    assert mesh.parse("auto") is None
    for text in ("", "4", "member=0", "member=2,member=2", "rows=2", "member=4;data=2", "member=-1"):
        with pytest.raises(InputError, match="give auto, or sizes of its two axes, such as member=4,data=2"):
            mesh.parse(text)


def test_meshes_that_do_not_fit_are_refused():
    with pytest.raises(
        InputError,
        match=r"generators.0 has 6 members, .* member=4 .* give it 4 or 8 members, or the mesh member=1 or 2",
    ):
        check_mesh(toys.game(6, 4), Sizes(4, 1))
    with pytest.raises(
        InputError,
        match=r"batch_size is 8, which a mesh with data=3 does not divide; give batch_size=6 or 9, or the mesh data=1",
    ):
        check_mesh(toys.game(4, 4), Sizes(1, 3))
    with pytest.raises(
        InputError, match=r"batch_size is 8, which, dealt out among 4 discriminators, .* data=4 .*; give batch_size=16"
    ):
        check_mesh(small(coverage="split"), Sizes(1, 4))
    with pytest.raises(InputError, match="couples the samples of a batch in a way that cannot be spread over data=2"):
        check_mesh(small(coupled=True), Sizes(1, 2))
    with pytest.raises(InputError, match="the mesh member=16,data=1 takes 16 devices, but there are 8 devices"):
        on(16, 1)
    with pytest.raises(InputError, match=r"the mesh has the axes x \(Auto\); expected member and data"):
        mesh.sizes_of(jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,)))
    explicit = jax.make_mesh((2, 1), ("member", "data"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    with pytest.raises(InputError, match=r"member \(Explicit\), data \(Explicit\); .* of type Auto"):
        mesh.sizes_of(explicit)
    points = from_arrays("points", POINTS.astype(np.float32))
    with pytest.raises(InputError, match=r"make it with ensgan\.mesh\.make"):
        train(small(), small().init(jax.random.key(0)), points, steps=1, mesh="member=2")
    for sizes in ((0, 1), (2.0, 1), ((2, 2), 1)):
        with pytest.raises(InputError, match="give two whole numbers, at least 1"):
            mesh.make(*sizes)
    assert to_divide(small(coverage="split")).dealt == 4
    assert choose(8, to_divide(small(coupled=True))) == Sizes(4, 1)


@pytest.mark.parametrize(
    ("held", "rows"),
    [
        ([[1, 1]], range(0, 8)),
        ([[0, 1]], range(4, 8)),
        ([[0, 1, 1, 0], [0, 0, 1, 0]], range(2, 6)),
        ([[1], [0]], range(8)),
    ],
)
def test_a_process_needs_the_samples_of_its_own_devices(held, rows):
    assert mesh.rows_of(np.array(held, bool), 8) == rows


def test_rows_of_a_process_are_put_where_the_whole_batch_would_be():
    there = mesh.make(2, 4)
    assert mesh.rows_here(there, 8) == range(8)  # one process has them all
    for spec in (mesh.PartitionSpec("data"), mesh.PartitionSpec(None, "data")):
        batch = np.arange(64.0).reshape(8, 8)
        found = mesh.put_rows(there, batch, spec, size=8)
        np.testing.assert_array_equal(found, batch)
        assert found.sharding.is_equivalent_to(mesh.put(there, batch, spec).sharding, 2)


@pytest.mark.slow
def test_labels_are_spread_like_samples():
    game, there = conditional(2, 2), mesh.make(1, 2)
    alone, report = Program(game, SOURCE)(start(game), 3)
    state, info = Program(game, SOURCE, there)(start(game, 0, there), 3)
    assert state.generators[0].params["embed"]["embedding"].sharding.num_devices == 2
    plain = lambda state: jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
    toys.assert_close(plain(state), plain(alone), 1e-5)
    toys.assert_close(info, report, 1e-5)
