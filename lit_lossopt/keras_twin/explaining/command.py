"""The explanation of one training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import cast

import torch
from torch import nn

from lit_lossopt.config.words import Prepared
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.output import write_all
from lit_lossopt.keras_twin.clip import clip_of
from lit_lossopt.keras_twin.engine import settings_of, sizes_of
from lit_lossopt.keras_twin.explaining.attribution import Attribution, Floats, attribute, gap_of
from lit_lossopt.keras_twin.explaining.experiment import Experiment, possible, touching
from lit_lossopt.keras_twin.explaining.report import as_json, markdown, page, show
from lit_lossopt.keras_twin.explaining.request import COMMAND, Request
from lit_lossopt.keras_twin.explaining.sides import keras_losses, torch_losses
from lit_lossopt.keras_twin.framework import start_tensorflow
from lit_lossopt.keras_twin.losses import counterpart_of as loss_counterpart
from lit_lossopt.keras_twin.optimizers import counterpart_of as optimizer_counterpart
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.training.cli import LossOptCLI, build
from lit_lossopt.training.module import LossOptModule

_OTHER_SEED = 1
Make = Callable[[nn.Module], torch.optim.Optimizer]


def explain(request: Request) -> int:
    """Attribute the gap, show the table and write it. Return the exit status.

    Raises:
        UserError: the training has something without counterpart in Keras, or a file cannot be written.
    """
    assert request.prepared is not None
    cli = build(request.prepared, LossOptCLI)
    start_tensorflow(torch.get_num_threads(), double=True)
    experiment = experiment_of(cli, request.prepared, request.steps)
    found = explanation(experiment, cli.model.new_optimizer, request)
    show(found, experiment)
    texts = ((request.page, page), (request.markdown, markdown), (request.numbers, as_json))
    write_all(COMMAND, ((path, partial(make, found, experiment)) for path, make in texts))
    return Exit.DONE


def explanation(experiment: Experiment, make: Make, request: Request) -> Attribution:
    """Return what makes the gap between both sides of an experiment.

    Raises:
        UserError: a difference that was named does not touch the experiment.
    """
    usual = [one.name for one in touching(experiment)]
    known = [one.name for one in possible(experiment)]
    for name in request.only:
        if name not in known:
            raise UserError(f"{COMMAND} --only {name}: it does not touch this training; these do: {', '.join(known)}")
    for name in request.without:
        if name not in usual:
            raise UserError(
                f"{COMMAND} --without {name}: it does not touch this training; these do: {', '.join(usual)}"
            )
    differing = request.only or tuple(name for name in usual if name not in request.without)

    @cache
    def run(names: frozenset[str]) -> Floats:
        return keras_losses(experiment, names)

    target = torch_losses(experiment, make)
    found = attribute(run, target, differing, differing)
    if "initialisation" not in differing or not found.gap:
        return found
    control = gap_of(torch_losses(_reseeded(experiment), make), target)
    return replace(found, reseeded=control / found.gap)


def _reseeded(experiment: Experiment) -> Experiment:
    """Return an experiment with other initial weights of the same kind."""
    network = copy.deepcopy(experiment.network)
    torch.manual_seed(_OTHER_SEED)
    for part in (network.conv1, network.conv2, network.linear1, network.linear2):
        part.reset_parameters()
    return replace(experiment, network=network)


def experiment_of(cli: LossOptCLI, prepared: Prepared, steps: int) -> Experiment:
    """Return the first steps of a training, in double precision and without dropout.

    Raises:
        UserError: network, loss or optimizer has no counterpart in Keras, or an epoch has fewer steps.
    """
    module: LossOptModule = cli.model
    optimizer = module.new_optimizer()
    name, settings = type(optimizer).__name__, settings_of(optimizer)
    sizes_of(module.network)
    loss_counterpart(module.criterion)
    optimizer_counterpart(name, settings)
    batches = [cli.datamodule.on_after_batch_transfer(batch, 0) for batch in _first(cli, steps)]
    if len(batches) < steps or batches[0][1].ndim > 1:
        raise UserError(
            f"{COMMAND}: --steps {steps}: an epoch has {len(batches)} steps; take fewer"
            if len(batches) < steps
            else f"{COMMAND}: data.mixing: images are not mixed here; leave it out"
        )
    network = cast("MiniCNN", module.network.double())
    network.dropout.p = 0.0
    chosen = prepared.settings.value("model.optimizer") or {}
    return Experiment(
        network=network,
        criterion=module.criterion,
        optimizer=name,
        settings=settings,
        given=frozenset(chosen.get("init_args") or {}),
        decay_biases=module.decay_biases,
        clip=clip_of(cli.trainer.gradient_clip_val, cli.trainer.gradient_clip_algorithm),
        batches=[(images.double(), labels) for images, labels in batches],
        rates=_rates(module, steps),
    )


def _first(cli: LossOptCLI, steps: int) -> list[tuple[torch.Tensor, ...]]:
    loader = iter(cli.datamodule.train_dataloader())
    return [batch for _, batch in zip(range(steps), loader, strict=False)]


def _rates(module: LossOptModule, steps: int) -> list[float]:
    """Return the learning rate of each step. A schedule by epochs leaves it as it is within the first."""
    optimizer = module.new_optimizer()
    schedule = module.schedule.made_for(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if isinstance(schedule, torch.optim.lr_scheduler.LRScheduler) and module.schedule.unit == "step":
            schedule.step()
    return rates
