"""What Keras 3 and torch do differently under the same names.

Every row is confirmed by a test in ``tests/keras_twin/test_differences.py``. Nothing heavy is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SETTING, FORM, NETWORK, LOSS, CLIP, LAYER, SCHEDULE = (
    "setting", "form", "network", "loss", "clip", "layer", "schedule",
)  # fmt: skip

# Names in Keras of what torch calls otherwise.
KERAS_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho"}
KERAS_CLASSES = {"SGDW": "SGD", "NAdam": "Nadam"}
_CLASS = re.compile(r"Keras\w+\(")


@dataclass(frozen=True)
class Difference:
    """One thing that both frameworks do otherwise.

    Attributes:
        name: as it is typed.
        kind: what it is a part of. Those of a ``layer`` or a ``schedule`` are not met by MiniCNN's first steps.
        torch: what torch does.
        keras: what Keras does.
        source: where each says so, a file of Keras and one of torch.
        in_keras: the line that makes Keras do as torch.
        in_torch: the line that makes torch do as Keras.
        optimizers: names in torch that it is about; empty: it does not depend on the optimizer.
        values: optimizer → setting by torch's name, torch's default, Keras' default.
    """

    name: str
    kind: str
    torch: str
    keras: str
    source: str
    in_keras: str
    in_torch: str
    optimizers: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, Any, Any]] = field(default_factory=dict)

    def of(self, optimizer: str, limit: float = 1.0) -> Difference:
        """Return this difference in the words of one optimizer.

        >>> BY_NAME["rho"].of("Adadelta").in_keras
        'keras.optimizers.Adadelta(rho=0.9)'

        Args:
            optimizer: name of the class in torch.
            limit: to which gradients are clipped.
        """
        kind = KERAS_CLASSES.get(optimizer, optimizer)
        if optimizer not in self.values:
            in_keras = self.in_keras.replace(_RULES, f"torch_rule({optimizer!r}, settings)")
            return replace(
                self,
                in_keras=in_keras.replace("Adam(global_clipnorm=1.0)", f"{kind}(global_clipnorm={limit:g})"),
                in_torch=_CLASS.sub(f"Keras{kind}(", self.in_torch).replace("(p, 1.0)", f"(p, {limit:g})"),
            )
        setting, in_torch, in_keras = self.values[optimizer]
        name = KERAS_NAMES.get(setting, setting)
        return replace(
            self,
            torch=f"{setting} is {in_torch:g}",
            keras=f"{name} is {in_keras:g}",
            in_keras=f"keras.optimizers.{kind}({name}={in_torch:g})",
            in_torch=f"torch.optim.{optimizer}(parameters, {setting}={in_keras:g})",
        )


_RULES = "torch_rule(name, settings)"
_TORCH_RULES = "lit_lossopt.keras_twin.keras_rules"
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "learning-rate",
        SETTING,
        "1e-3 for SGD, 1e-2 for RMSprop and Adagrad, 2e-3 for NAdam and Adamax, 1 for Adadelta",
        "1e-2 for SGD, 1e-3 for all others",
        "keras/src/optimizers/*.py; torch/optim/*.py",
        "keras.optimizers.RMSprop(learning_rate=1e-2)",
        "torch.optim.RMSprop(parameters, lr=1e-3)",
        values={
            "SGD": ("lr", 1e-3, 1e-2),
            "RMSprop": ("lr", 1e-2, 1e-3),
            "NAdam": ("lr", 2e-3, 1e-3),
            "Adagrad": ("lr", 1e-2, 1e-3),
            "Adadelta": ("lr", 1.0, 1e-3),
            "Adamax": ("lr", 2e-3, 1e-3),
        },
    ),
    Difference(
        "epsilon",
        SETTING,
        "ε is 1e-8; 1e-10 for Adagrad, 1e-6 for Adadelta",
        "ε is 1e-7",
        "keras/src/optimizers/adam.py, epsilon; torch/optim/adam.py, eps",
        "keras.optimizers.Adam(epsilon=1e-8)",
        "torch.optim.Adam(parameters, eps=1e-7)",
        values={
            **dict.fromkeys(("Adam", "AdamW", "RMSprop", "NAdam", "Adamax"), ("eps", 1e-08, 1e-07)),
            "Adagrad": ("eps", 1e-10, 1e-7),
            "Adadelta": ("eps", 1e-6, 1e-7),
        },
    ),
    Difference(
        "rho",
        SETTING,
        "RMSprop forgets by α = 0.99, Adadelta by ρ = 0.9",
        "RMSprop forgets by ρ = 0.9, Adadelta by ρ = 0.95",
        "keras/src/optimizers/rmsprop.py, rho; torch/optim/rmsprop.py, alpha",
        "keras.optimizers.RMSprop(rho=0.99)",
        "torch.optim.RMSprop(parameters, alpha=0.9)",
        values={"RMSprop": ("alpha", 0.99, 0.9), "Adadelta": ("rho", 0.9, 0.95)},
    ),
    Difference(
        "accumulator",
        SETTING,
        "Adagrad's sum of squares begins at 0",
        "it begins at 0.1",
        "keras/src/optimizers/adagrad.py, initial_accumulator_value; torch/optim/adagrad.py, the same",
        "keras.optimizers.Adagrad(initial_accumulator_value=0)",
        "torch.optim.Adagrad(parameters, initial_accumulator_value=0.1)",
        values={"Adagrad": ("initial_accumulator_value", 0.0, 0.1)},
    ),
    Difference(
        "decay-of-adamw",
        SETTING,
        "AdamW's weight decay is 0.01",
        "it is 0.004",
        "keras/src/optimizers/adamw.py, weight_decay; torch/optim/adamw.py, the same",
        "keras.optimizers.AdamW(weight_decay=0.01)",
        "torch.optim.AdamW(parameters, weight_decay=0.004)",
        values={"AdamW": ("weight_decay", 1e-2, 4e-3)},
    ),
    Difference(
        "place-of-epsilon",
        FORM,
        "ε is added to the root (Adam: of the corrected mean of squares)",
        "Adam adds ε before the root's bias is corrected. RMSprop and Adagrad add it inside the root. Adamax adds it "
        "to the largest gradient only where it divides",
        "keras/src/optimizers/adam.py, update_step; torch/optim/adam.py, _single_tensor_adam",
        f"{_RULES} of lit_lossopt.keras_twin.torch_rules; no argument does it",
        f"{_TORCH_RULES}.KerasAdam(parameters); no argument does it",
        ("Adam", "AdamW", "RMSprop", "Adagrad", "Adamax"),
    ),
    Difference(
        "momentum-schedule",
        FORM,
        "NAdam's momentum warms up by 0.96^(0.004 t)",
        "it warms up by 0.96^t",
        "keras/src/optimizers/nadam.py, decay; torch/optim/nadam.py, momentum_decay",
        f"{_RULES} of lit_lossopt.keras_twin.torch_rules; no argument does it",
        "torch.optim.NAdam(parameters, momentum_decay=1)",
        ("NAdam",),
    ),
    Difference(
        "place-of-rate",
        FORM,
        "the learning rate multiplies the velocity",
        "the learning rate multiplies the gradient that enters the velocity, so that a new rate acts slowly",
        "keras/src/optimizers/sgd.py, update_step; torch/optim/sgd.py, _single_tensor_sgd",
        f"{_RULES} of lit_lossopt.keras_twin.torch_rules; no argument does it",
        f"{_TORCH_RULES}.KerasSGD(parameters, momentum=0.9)",
        ("SGD", "SGDW", "RMSprop"),
    ),
    Difference(
        "coupled-decay",
        FORM,
        "weight_decay of SGD, Adam, RMSprop, NAdam, Adagrad, Adadelta and Adamax is added to the gradient (L2)",
        "weight_decay of every optimizer shrinks the weights apart from the gradient",
        "keras/src/optimizers/base_optimizer.py, _apply_weight_decay; torch/optim/adam.py, weight_decay",
        "Dense(..., kernel_regularizer=l2(λ / 2), bias_regularizer=l2(λ / 2)), and no weight_decay",
        "torch.optim.AdamW, or lit_lossopt.optimizers.SGDW",
        ("SGD", "Adam", "RMSprop", "NAdam", "Adagrad", "Adadelta", "Adamax"),
    ),
    Difference(
        "half",
        FORM,
        "weight_decay=λ is the gradient of ½ λ w², of biases too",
        "kernel_regularizer=l2(λ) adds λ w² to the loss, twice as much, of kernels only",
        "keras/src/regularizers/regularizers.py, L2; torch/optim/sgd.py, weight_decay",
        "Dense(..., kernel_regularizer=l2(λ / 2), bias_regularizer=l2(λ / 2))",
        "torch.optim.SGD(groups, weight_decay=2 * λ), with a group of biases that has 0",
        ("SGD", "Adam", "RMSprop", "NAdam", "Adagrad", "Adadelta", "Adamax"),
    ),
    Difference(
        "precision",
        FORM,
        "numbers of a formula are Python's, of 64 bits",
        "most come through 32 bits, in a training of 64 bits too",
        "keras/src/backend/tensorflow/core.py, convert_to_tensor; torch/optim/adam.py, bias_correction1",
        f"{_RULES} of lit_lossopt.keras_twin.torch_rules; no argument does it",
        "nothing: a training of 32 bits does not show it",
        ("SGD", "SGDW", "Adam", "AdamW", "RMSprop", "NAdam", "Adagrad", "Adamax"),
    ),
    Difference(
        "initialisation",
        NETWORK,
        "kernels are Kaiming-uniform with a = √5, biases uniform within 1/√fan_in",
        "kernels are Glorot-uniform, biases zero",
        "keras/src/layers/core/dense.py, kernel_initializer; torch/nn/modules/linear.py, reset_parameters",
        "Dense(..., kernel_initializer=VarianceScaling(1 / 3, 'fan_in', 'uniform'), "
        "bias_initializer=RandomUniform(-b, b)) with b = 1 / √fan_in",
        "torch.nn.init.xavier_uniform_(layer.weight); torch.nn.init.zeros_(layer.bias)",
    ),
    Difference(
        "flatten-order",
        NETWORK,
        "images are [N, C, H, W], and channels come first when they are flattened",
        "images are [N, H, W, C], and channels come last",
        "keras/src/layers/reshaping/flatten.py; torch/nn/modules/flatten.py",
        "Permute((3, 1, 2)) in front of Flatten, where weights are carried over",
        "x.permute(0, 2, 3, 1).flatten(1)",
    ),
    Difference(
        "probabilities",
        LOSS,
        "CrossEntropyLoss and BCEWithLogitsLoss take logits",
        "the losses take probabilities by default. Behind a last softmax or sigmoid they find the logits. Where "
        "anything stands between, such as a cast, they clip probabilities at 1e-7 and 1 − 1e-7",
        "keras/src/backend/tensorflow/nn.py, _get_logits; torch/nn/functional.py, cross_entropy",
        "SparseCategoricalCrossentropy(from_logits=True), and no softmax in the network",
        "torch.nn.NLLLoss()(outputs.softmax(1).clamp(1e-7, 1 - 1e-7).log(), labels)",
    ),
    Difference(
        "clip-by-variable",
        CLIP,
        "clip_grad_norm_ takes the norm of all gradients together",
        "clipnorm takes the norm of each variable's gradient; global_clipnorm is like torch's",
        "keras/src/optimizers/base_optimizer.py, clipnorm; torch/nn/utils/clip_grad.py",
        "keras.optimizers.Adam(global_clipnorm=1.0)",
        "for p in parameters: torch.nn.utils.clip_grad_norm_(p, 1.0)",
    ),
    Difference(
        "padding",
        LAYER,
        "padding=1 at stride 2 pads all four sides",
        "padding='same' at stride 2 pads right and bottom only, where the size is even",
        "keras/src/layers/convolutional/base_conv.py, padding; torch/nn/modules/conv.py, padding",
        "ZeroPadding2D(1) in front of Conv2D(..., strides=2, padding='valid')",
        "F.pad(x, (0, 1, 0, 1)) in front of Conv2d(..., stride=2, padding=0)",
    ),
    Difference(
        "batch-norm-momentum",
        LAYER,
        "running statistics take over 0.1 of a batch's",
        "moving statistics keep 0.99 of their own",
        "keras/src/layers/normalization/batch_normalization.py, momentum; torch/nn/modules/batchnorm.py, the same",
        "BatchNormalization(momentum=0.9)",
        "nn.BatchNorm2d(channels, momentum=0.01)",
    ),
    Difference(
        "batch-norm-epsilon",
        LAYER,
        "ε is 1e-5",
        "ε is 1e-3",
        "keras/src/layers/normalization/batch_normalization.py, epsilon; torch/nn/modules/batchnorm.py, eps",
        "BatchNormalization(epsilon=1e-5)",
        "nn.BatchNorm2d(channels, eps=1e-3)",
    ),
    Difference(
        "batch-norm-variance",
        LAYER,
        "the running variance is unbiased, that of a batch biased",
        "both are biased",
        "keras/src/layers/normalization/batch_normalization.py, moving_variance; torch/nn/modules/batchnorm.py",
        "nothing: multiply moving_variance by n / (n − 1) when weights are carried over",
        "nothing: multiply running_var by (n − 1) / n when weights are carried over",
    ),
    Difference(
        "plateau-threshold",
        SCHEDULE,
        "ReduceLROnPlateau asks for an improvement of 1e-4 of the best value",
        "it asks for an improvement of 1e-4",
        "keras/src/callbacks/reduce_lr_on_plateau.py, min_delta; torch/optim/lr_scheduler.py, threshold_mode",
        "nothing: min_delta is absolute",
        "ReduceLROnPlateau(optimizer, threshold_mode='abs')",
    ),
    Difference(
        "plateau-patience",
        SCHEDULE,
        "ReduceLROnPlateau lowers the rate after more than `patience` epochs without improvement",
        "it lowers the rate after `patience` epochs",
        "keras/src/callbacks/reduce_lr_on_plateau.py, wait; torch/optim/lr_scheduler.py, num_bad_epochs",
        "ReduceLROnPlateau(patience=11)",
        "ReduceLROnPlateau(optimizer, patience=9)",
    ),
)  # fmt: skip
BY_NAME = {one.name: one for one in DIFFERENCES}
