"""The peers in PyTorch: recurrent models and a GPT, from its own parts.

Their weights can be set to those of our models, in the order of
`get_weights()`.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.tensor(np.ascontiguousarray(array)))


class Recurrent(nn.Module):
    """Embedding, `nn.GRU` or `nn.LSTM`, projection."""

    def __init__(self, kind: str, weights: list[np.ndarray]):
        super().__init__()
        table, kernel, recurrent, bias, head, head_bias = weights
        units = recurrent.shape[0]
        made = {"gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.embedding = nn.Embedding(*table.shape)
        self.layer = made(table.shape[1], units, batch_first=True)
        self.head = nn.Linear(units, head.shape[1])
        if kind == "gru":  # Keras has z, r, n; PyTorch has r, z, n
            order = np.r_[units : 2 * units, :units, 2 * units : 3 * units]
            kernel, recurrent = kernel[:, order], recurrent[:, order]
            of_inputs, of_state = bias[:, order]
        else:
            of_inputs, of_state = bias, np.zeros_like(bias)
        self.embedding.weight = parameter(table)
        self.layer.weight_ih_l0 = parameter(kernel.T)
        self.layer.weight_hh_l0 = parameter(recurrent.T)
        self.layer.bias_ih_l0 = parameter(of_inputs)
        self.layer.bias_hh_l0 = parameter(of_state)
        # Keras's LSTM has one bias: the other stays zero.
        self.layer.bias_hh_l0.requires_grad_(kind == "gru")
        self.head.weight, self.head.bias = (
            parameter(head.T),
            parameter(head_bias),
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embedding(ids))[0])

    def begin(self, batch_size: int) -> None:
        """The state before a text; PyTorch makes its zeros itself."""

    def read(self, ids: torch.Tensor, state):
        """One id a row, [B]: the logits [B,V] behind it, and the state."""
        outputs, state = self.layer(self.embedding(ids[:, None]), state)
        return self.head(outputs[:, 0]), state


class Block(nn.Module):
    """Attention and network, each behind a norm."""

    def __init__(self, heads: int, weights: list[np.ndarray]):
        super().__init__()
        self.heads = heads
        norms, denses = weights[:2] + weights[6:8], weights[2:6] + weights[8:]
        self.norms = nn.ModuleList()
        for scale, shift in zip(norms[::2], norms[1::2], strict=True):
            norm = nn.LayerNorm(len(scale))
            norm.weight, norm.bias = parameter(scale), parameter(shift)
            self.norms.append(norm)
        self.denses = nn.ModuleList()
        for kernel, bias in zip(denses[::2], denses[1::2], strict=True):
            dense = nn.Linear(*kernel.shape)
            dense.weight, dense.bias = parameter(kernel.T), parameter(bias)
            self.denses.append(dense)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        joined, output, *_ = self.denses
        batch, time, width = inputs.shape
        parts = joined(self.norms[0](inputs)).split(width, dim=2)
        queries, keys, values = (
            part.view(batch, time, self.heads, -1).transpose(1, 2)
            for part in parts
        )
        mixed = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=True
        )
        mixed = mixed.transpose(1, 2).reshape(batch, time, width)
        hidden = inputs + output(mixed)
        return hidden + self.network(hidden)

    def network(self, hidden: torch.Tensor) -> torch.Tensor:
        _, _, widen, narrow = self.denses
        inner = widen(self.norms[1](hidden))
        return narrow(functional.gelu(inner, approximate="tanh"))

    def read(
        self, inputs: torch.Tensor, cache: torch.Tensor, position: int
    ) -> torch.Tensor:
        """One position [B,D]; the cache [2,B,H,C,W] is a ring."""
        joined, output, *_ = self.denses
        batch, width = inputs.shape
        context = cache.shape[3]
        parts = joined(self.norms[0](inputs)).view(batch, 3, self.heads, -1)
        slot = position % context
        cache[0, :, :, slot], cache[1, :, :, slot] = parts[:, 1], parts[:, 2]
        seen = min(position + 1, context)
        mixed = functional.scaled_dot_product_attention(
            parts[:, :1].transpose(1, 2), *cache[:, :, :, :seen]
        )
        hidden = inputs + output(mixed.reshape(batch, width))
        return hidden + self.network(hidden)


class GPT(nn.Module):
    """A table of positions in the place of our rotary ones; tied ends."""

    def __init__(self, heads: int, context: int, weights: list[np.ndarray]):
        super().__init__()
        bias, table, *rest, scale, shift = weights
        self.embedding = nn.Embedding(*table.shape)
        self.embedding.weight = parameter(table)
        self.positions = nn.Embedding(context, table.shape[1])
        nn.init.zeros_(self.positions.weight)
        self.blocks = nn.ModuleList(
            Block(heads, rest[first : first + 12])
            for first in range(0, len(rest), 12)
        )
        self.norm = nn.LayerNorm(len(scale))
        self.norm.weight, self.norm.bias = parameter(scale), parameter(shift)
        self.bias = parameter(bias)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1])
        hidden = self.embedding(ids) + self.positions(places)
        for block in self.blocks:
            hidden = block(hidden)
        weight = self.embedding.weight
        return functional.linear(self.norm(hidden), weight, self.bias)

    def begin(self, batch_size: int):
        """The state before a text: its position, and a cache a block."""
        context, width = self.positions.weight.shape
        heads = self.blocks[0].heads
        shape = 2, batch_size, heads, context, width // heads
        dtype = self.positions.weight.dtype
        return 0, [torch.zeros(shape, dtype=dtype) for _ in self.blocks]

    def read(self, ids: torch.Tensor, state):
        """One id a row, [B]: the logits [B,V] behind it, and the state."""
        position, caches = state
        place = position % self.positions.num_embeddings
        hidden = self.embedding(ids) + self.positions.weight[place]
        for block, cache in zip(self.blocks, caches, strict=True):
            hidden = block.read(hidden, cache, position)
        weight = self.embedding.weight
        logits = functional.linear(self.norm(hidden), weight, self.bias)
        return logits, (position + 1, caches)


class Trainer:
    """Trains a model on one batch, with fused Adam and autocast."""

    def __init__(self, model: nn.Module, precision: str, epsilon: float):
        self.model = model
        self.bfloat16 = precision == "bfloat16"
        self.epsilon = epsilon
        self.steps = 0
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, 1e-3, fused=True)

    def step(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """One optimizer step; returns the loss before it, in nats."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits = self.model(inputs)
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten()
        )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.steps += 1
        # Keras adds epsilon before the bias is corrected, PyTorch behind it.
        (group,) = self.optimizer.param_groups
        group["eps"] = self.epsilon / math.sqrt(1 - 0.999**self.steps)
        self.optimizer.step()
        return loss.item()
