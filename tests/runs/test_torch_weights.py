"""The document's generators in PyTorch draw what JAX draws from the same weights and noise."""

import re
from pathlib import Path

import numpy as np
import pytest
import toys

import ensgan
from ensgan import networks
from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.population import Group
from ensgan.runs import export

torch = pytest.importorskip("torch")  # the extra `bench`, which is no part of `test`
GENERATORS = {
    "mlp": networks.mlp_generator((6, 6, 2), latent=3, widths=(8, 7)),
    "dcgan": networks.GENERATORS["dcgan"]((28, 28, 1), latent=3, width=2),
    "dcgan without norm": networks.GENERATORS["dcgan"]((32, 32, 3), latent=3, width=2, norm="none"),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_the_program_of_the_document_gives_the_same_samples(name, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    _, _, program = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    network = GENERATORS[name]
    game = Game(
        [Group(network, 2, latent=normal(np.float32([1.0, 0.5])))], [Group(networks.mlp(network.out_shape, (2,), 1), 1)]
    )
    state = toys.different(game)
    export.write(export.sampler(game, state, [0, 1]), tmp_path / "best")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(program, names)
    assert names["x"].shape == (64, *network.out_shape)
    z = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)
    member = ensgan.member(game, state, 1)
    want = member.network.apply(member.params, member.state, 0.5 * z, label=None, train=False, rng=None)[0]
    found = names["generate"](torch.from_numpy(0.5 * z))
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-4, atol=1e-5)
