"""Learning rates by depth, and one optimiser over dense and sparse gradients.

The head learns fast, the backbone slowly, its first layers slowest. Class vectors that a head
samples get sparse gradients and plain stochastic gradient descent: AdamW would read and write
every row and two moments of it at each step, and save nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.recipe import OptimRecipe


def create_optimizer(
    model: HerbForImageClassification,
    recipe: OptimRecipe,
    kind: Callable[..., Optimizer],
    options: dict[str, Any],
) -> Optimizer:
    """Creates the optimiser of all trainable parameters.

    Rows with sparse gradients get plain SGD. They are directions: a cosine does not change with the
    length of its vector, so the gradient stands at right angles to it and every step makes it
    longer. The angle moves by `lr / length ** 2`, which falls by itself as in a row-wise Adagrad
    (Arora et al. 2019, arXiv:1812.03981), with no state to keep. That is why `sparse_lr` is so
    large, and why it matters little: see `benchmarks/sparse_optimiser.py`.

    Args:
        model: not wrapped.
        recipe: rates and weight decay.
        kind: the optimiser of dense parameters.
        options: its further arguments.
    """
    dense = kind(parameter_groups(model, recipe), **options)
    rows = [model.get_parameter(name) for name in model.sparse_parameters()]
    if not rows:
        return dense
    sparse = SGD([{"params": rows, "lr": recipe.sparse_lr}], weight_decay=0.0)
    return DenseAndSparse(dense, sparse)


def parameter_groups(
    model: HerbForImageClassification, recipe: OptimRecipe
) -> list[dict[str, Any]]:
    """Groups the parameters with dense gradients by learning rate and weight decay.

    The backbone's last block learns at `lr * backbone_lr_scale`, each block below it at
    `layer_decay` times the one above (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146,
    section 3.2; as a decay in Clark et al. 2020). A part of the head that came pretrained, which
    it lists in `layer_groups`, learns as the backbone does. Vectors and scalars are not decayed.

    Returns:
        Dicts with `params`, `lr` and `weight_decay`, the slowest first.
    """
    rates = _pretrained_rates(model.backbone, "backbone.", recipe)
    if hasattr(model.head, "layer_groups"):
        rates |= _pretrained_rates(model.head, "head.", recipe)
    sparse = set(model.sparse_parameters())
    grouped: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name in sparse:
            continue
        default = recipe.lr
        if name.startswith("backbone."):  # a backbone need not say how deep its layers are
            default = recipe.lr * recipe.backbone_lr_scale
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        grouped.setdefault((rates.get(name, default), decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in sorted(grouped.items(), key=lambda item: item[0])
    ]


def _pretrained_rates(part: Any, prefix: str, recipe: OptimRecipe) -> dict[str, float]:
    groups = part.layer_groups() if hasattr(part, "layer_groups") else []
    top = recipe.lr * recipe.backbone_lr_scale
    return {
        prefix + name: top * recipe.layer_decay ** (len(groups) - 1 - depth)
        for depth, names in enumerate(groups)
        for name in names
    }


class DenseAndSparse(Optimizer):
    """Two optimisers that a schedule, a gradient scaler and a checkpoint take for one.

    The groups of parameters are shared with the two, so that a rate set here holds there.

    Args:
        dense: of the parameters with dense gradients.
        sparse: of those with sparse ones.
    """

    def __init__(self, dense: Optimizer, sparse: Optimizer) -> None:
        self.dense, self.sparse = dense, sparse
        super().__init__([*dense.param_groups, *sparse.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [*self.dense.param_groups, *self.sparse.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes a step with both; the closure, if any, is called once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.dense.step()
        self.sparse.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of both, by `dense` and `sparse`."""
        return {"dense": self.dense.state_dict(), "sparse": self.sparse.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.dense.load_state_dict(state_dict["dense"])
        self.sparse.load_state_dict(state_dict["sparse"])
        self._share_groups()


def any_sparse(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether one of the parameters has a sparse gradient."""
    return any(p.grad is not None and p.grad.is_sparse for p in parameters)


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Does what `torch.nn.utils.clip_grad_norm_` does, which cannot take sparse gradients.

    Rows that occur more than once in a sparse gradient are added up first.

    Returns:
        The norm of all gradients together, before.
    """
    dense, gradients, rows = [], [], []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = _coalesced(parameter.grad)
            rows.append(parameter.grad._values())
        else:
            dense.append(parameter)
            gradients.append(parameter.grad)
    norm = nn.utils.get_total_norm([*gradients, *rows])
    nn.utils.clip_grads_with_norm_(dense, max_norm, norm)
    for values in rows:
        values.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0).to(values.device))
    return norm


def _coalesced(gradient: Tensor) -> Tensor:
    """Adds up rows that occur more than once; without a copy, if there are none."""
    indices = gradient._indices()
    if gradient.is_coalesced() or not bool((indices[0].diff() > 0).all()):
        return gradient.coalesce()
    return torch.sparse_coo_tensor(
        indices, gradient._values(), gradient.shape, is_coalesced=True, check_invariants=False
    )
