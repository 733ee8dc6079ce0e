"""The one place where the names of a configuration become functions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ensgan import augment, losses, networks, optim, penalties, schedules
from ensgan.data import SOURCES, VIEWS, Source
from ensgan.data.law import TRAINING, class_law, describe_law
from ensgan.data.stores import fetched, is_address
from ensgan.game.game import Game, check_source
from ensgan.game.latents import Latent, normal, uniform
from ensgan.game.population import Group
from ensgan.pace import paced
from ensgan.pairing import PAIRINGS
from ensgan.runs.config import Config, GroupConfig, Plug, to_dict
from ensgan.types import InputError, Schedule, Shape

# The settings that a game does not depend on.
# fmt: off
OUTSIDE = frozenset((
    "name", "seed", "steps", "init_from", "log_every", "eval_every", "checkpoint_every", "profile", "keep",
    "keep_every", "best", "patience", "held_out", "distances", "features", "classes", "tensorboard", "wandb",
    "trackio", "data", "view",
))
# fmt: on
MANY = 4  # members of a side that can do without one for a while

TABLES = {
    "data": SOURCES,
    "view": VIEWS,
    "loss": losses.NAMED,
    "pairing": PAIRINGS,
    "penalty": penalties.PENALTIES,
    "augment": augment.AUGMENTS,
    "schedule": schedules.SCHEDULES,
    "optimizer": optim.OPTIMIZERS,
    "generators": networks.GENERATORS,
    "discriminators": networks.DISCRIMINATORS,
}


def build(config: Config) -> tuple[Game, Source]:
    """The game and the data that a configuration describes.

    Raises:
        InputError: a name, a number or a file that does not fit.
    """
    source = source_of(config)
    return game_of(config, source), source


def source_of(config: Config) -> Source:
    """The data of a configuration. Raises InputError as `build` does."""
    options: dict[str, Any] = {**config.data.options, "seed": config.seed}
    if is_address(path := options.get("path", "")):
        options["path"] = fetched(path)
    return viewed(config, SOURCES[config.data.name](**options))


def game_of(config: Config, source: Source) -> Game:
    """The game of a configuration, checked against its data. Raises InputError as `build` does."""
    source.check_batch(config.batch_size or config.reals)
    game = build_game(config, source.shape, source.num["train"])
    check_source(game, source)
    law_of(config, game, source)
    return game


def law_of(config: Config, game: Game, source: Source, choice: str | None = None) -> np.ndarray | None:
    """The law of the labels of conditional generators, `[K]`: the `choice`, or that of the configuration; else None.

    Raises:
        InputError: as in `class_law`, or a choice where generators are not conditional.
    """
    choice = choice or config.classes
    if game.classes is not None:
        return class_law(source, choice)
    if choice != TRAINING:
        raise InputError(f"--classes is {choice!r}, but the generators are not conditional; leave it out")
    return None


def described_law(config: Config, game: Game, source: Source) -> tuple[list[str], dict[str, Any]]:
    """The law of labels of a run as a line to print, and as plain data for JSON; both empty where there is none."""
    law = law_of(config, game, source)
    if law is None:
        return [], {}
    text = describe_law(config.classes, law, source.class_names)
    return [text], {"class_law": {"choice": config.classes, "weights": law.tolist(), "text": text}}


def viewed(config: Config, source: Source) -> Source:
    """The data as the discriminators of a configuration see them.

    Raises:
        InputError: a name, a number or data that the view does not fit.
    """
    N = sum(settings.count for settings in config.discriminators)
    return VIEWS[config.view.name](source, N, seed=config.seed, **config.view.options)


def build_game(config: Config, sample_shape: Shape, samples: int | None) -> Game:
    """The game of a configuration; what it says of data is not looked at.

    Configurations with the same game (of other seeds, say) get the same object, so that programs are compiled once.

    Args:
        config: the settings.
        sample_shape: shape of one sample.
        samples: how many the train split has; None where that is unbounded.

    Raises:
        InputError: a name or a number that does not fit.
    """
    return _game(_Playing(game_settings(config), config), tuple(sample_shape), samples)


@dataclass(frozen=True)
class _Playing:
    """A configuration, equal to others with the same game."""

    settings: str
    config: Config = field(compare=False)


def game_settings(config: Config) -> str:
    """The settings that a game depends on, as a text: all but those of the seed, the data and the run around it."""
    return json.dumps({name: value for name, value in to_dict(config).items() if name not in OUTSIDE}, sort_keys=True)


@lru_cache(maxsize=2)
def _game(playing: _Playing, sample_shape: Shape, samples: int | None) -> Game:
    config = playing.config
    M, N = (sum(settings.count for settings in side) for side in (config.generators, config.discriminators))
    schedule = _made(schedules.SCHEDULES, config.schedule, samples=samples or 0)
    shared_g = Plug(
        config.optimizer.name, {**config.optimizer.options, "weight_clip": 0.0}
    )  # critics alone are clipped

    def group(settings: GroupConfig, table: dict[str, Callable[..., Any]], shared: Plug, members: int) -> Group:
        optimizer = shared if settings.optimizer.name == "shared" else settings.optimizer
        scale = settings.latent_scale
        prior = {"normal": normal, "uniform": uniform}[settings.latent]
        latent: Latent = prior(np.asarray(scale, np.float32) if isinstance(scale, tuple) else scale)
        options = dict(settings.network.options)
        if options.get("dtype") == "float32":
            options["dtype"] = config.dtype
        network = table[settings.network.name](networks.packed_shape(sample_shape, settings.pack), **options)
        network = network if settings.pack == 1 else networks.packed(network, settings.pack)
        numbers = _own_numbers(optimizer.options, settings.count, schedule)
        made = optim.OPTIMIZERS[optimizer.name](**numbers)
        return Group(
            network=network,
            count=settings.count,
            optimizer=paced(made) if _heals(config, members) else made,
            latent=latent,
            execute=settings.execute,
            remat=settings.remat,
            shared=tuple(settings.shared),
            accumulate=config.accumulate,
        )

    if config.heal_collapsed and not (_heals(config, M) or _heals(config, N)):
        raise InputError(
            f"heal_collapsed is {config.heal_collapsed}, but members of this game do not heal: on_failure is "
            f"{config.on_failure!r}, with {M} generators, {N} discriminators and the schedule {config.schedule.name}; "
            "give on_failure = 'heal' (--on-failure heal)"
        )
    return Game(
        generators=[group(settings, networks.GENERATORS, shared_g, M) for settings in config.generators],
        discriminators=[
            group(settings, networks.DISCRIMINATORS, config.optimizer, N) for settings in config.discriminators
        ],
        loss=_made(losses.NAMED, config.loss, M=M, N=N),
        penalty=penalties.PENALTIES[config.penalty.name](**config.penalty.options),
        pairing=PAIRINGS[config.pairing.name](**config.pairing.options),
        ema=_average(config),
        reals=config.reals,
        fakes=config.fakes,
        batch_size=config.batch_size,
        compare=config.compare,
        augment=augment.AUGMENTS[config.augment.name](**config.augment.options),
        update=config.update,
        n_critic=config.n_critic,
        coverage=config.coverage,
        schedule=schedule,
    )


def _heals(config: Config, members: int) -> bool:
    """Whether the members of a side, which has so many, get a new life."""
    many = members >= MANY and config.schedule.name == "none"
    return config.on_failure == "heal" or (config.on_failure == "auto" and many)


def _made(table: dict[str, Callable[..., Any]], plug: Plug, **supplied: Any) -> Any:
    """The result of a plug's function, called with its options and with those supplied numbers that it takes."""
    factory = table[plug.name]
    wanted = inspect.signature(factory).parameters
    return factory(**plug.options, **{name: value for name, value in supplied.items() if name in wanted})


def _average(config: Config) -> Any:
    """The decay of averaged generators, or its schedule."""
    if not config.ema_half_life:
        if config.ema_start or config.ema_horizon:
            raise InputError("ema_start and ema_horizon are given without ema_half_life; give it, or leave them out")
        return config.ema
    reals = config.batch_size or config.reals
    return optim.half_life(config.ema_half_life, reals, config.ema_start, config.ema_horizon)


def _own_numbers(options: dict[str, Any], count: int, schedule: Schedule | None) -> dict[str, Any]:
    """Options of an optimiser; a learning rate that a schedule changes becomes one for every member."""
    if schedule is None or "learning_rate" not in schedule.claims.hyper:
        return options
    rate = options["learning_rate"]
    return {**options, "learning_rate": np.full((count,), rate, np.float32) if np.size(rate) == 1 else rate}
