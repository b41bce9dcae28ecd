"""A GPT that reads token by token, with a buffer behind its earlier keys.

Axes: B batch, H heads, W width of a head, F earlier positions, S positions of
a block, V vocabulary.
"""

import functools
from collections.abc import Iterator

import tensorflow as tf

from tflm.layers import rings_ahead
from tflm.layers.dense import Product, normalized, product_in_two
from tflm.layers.rings import Pair
from tflm.models.steps import State, Steps


class GPTSteps(Steps):
    """A `GPT` that reads token by token; see `Steps`.

    The state holds of each layer the keys [B,H,W,F] and the values [B,H,F,W]
    of earlier positions and those of the block, [B,H,S,W], in the dtype of
    the products, and `time`, how many tokens of the block have been read. Where
    shapes are not fixed, F and S grow.

    The weights are the kernels of the blocks' dense layers, transposed, where
    these are rounded to 16 bits: oneDNN brings such a kernel into an order of
    its own at each product, which is cheaper from its columns. XLA does not:
    there products of few rows are made in two, see `product_in_two`.

    With `kernels` norms and activations are kernels made by XLA.
    """

    in_parts = True

    def weights(self) -> tuple[tf.Tensor, ...]:
        dtype = tf.as_dtype(self.model.compute_dtype)
        if self.fixed or dtype.size > 2:
            return ()
        return tuple(
            tf.transpose(tf.cast(layer.kernel, dtype))
            for block in self.model.blocks
            for layer in block.dense_layers
        )

    def begin(self, state: State) -> State:
        position = state["position"]
        dtype = tf.as_dtype(self.model.compute_dtype)
        first = {"position": position, "time": tf.constant(0)}
        for index in range(self.model.num_layers):
            earlier = rings_ahead.unrolled(
                _pair(state, index), position, dtype, self.fixed
            )
            first |= _named("earlier", index, earlier)
            first |= _named("layer", index, self._nothing(earlier))
        return first

    def read(
        self,
        weights: tuple[tf.Tensor, ...],
        ids: tf.Tensor,
        mask: tf.Tensor,
        state: State,
    ) -> tuple[tf.Tensor, State]:
        model, position, time = self.model, state["position"], state["time"]
        after = dict(state)
        after["position"] += tf.cast(mask, tf.int32)
        after["time"] += 1
        unseen = rings_ahead.unseen(
            _pair(state, 0, "earlier"),
            self.count if self.fixed else time + 1,
            position,
            time,
            model.context,
        )
        hidden = model.embed(ids[:, tf.newaxis])  # [B,1,D]
        products = self._products(weights)
        for index, block in enumerate(model.blocks):

            def attend(
                queries: tf.Tensor, *new: tf.Tensor, index: int = index
            ) -> tuple[tf.Tensor, Pair]:
                earlier = _pair(state, index, "earlier")
                buffer = rings_ahead.written(
                    _pair(state, index), new, time if self.fixed else None
                )
                mixed = rings_ahead.attend(queries, earlier, buffer, unseen)
                return mixed, buffer

            hidden, buffer = block(
                hidden,
                position[:, tf.newaxis],
                ahead=attend,
                products=tuple(next(products) for _ in block.dense_layers),
                fused=self.kernels,
                training=False,
            )
            after |= _named("layer", index, buffer)
        hidden = normalized(
            model.norm, hidden, training=False, fused=self.kernels
        )
        return model.logits(hidden)[:, 0], after

    def turn(self, state: State) -> State:
        after = {"position": state["position"], "time": tf.constant(0)}
        for index in range(self.model.num_layers):
            earlier = rings_ahead.appended(
                _pair(state, index, "earlier"),
                _pair(state, index),
                self.model.context,
            )
            after |= _named("earlier", index, earlier)
            after |= _named("layer", index, self._nothing(earlier))
        return after

    def _products(
        self, weights: tuple[tf.Tensor, ...]
    ) -> Iterator[Product | None]:
        """Of one dense layer after the other, how it multiplies."""
        transposed = iter(weights)
        for block in self.model.blocks:
            for layer in block.dense_layers:
                product: Product | None = None
                if self.fixed:
                    kernel = tf.convert_to_tensor(layer.kernel)
                    product = functools.partial(product_in_two, kernel=kernel)
                elif weights:
                    product = functools.partial(
                        tf.matmul, b=next(transposed), transpose_b=True
                    )
                yield product

    def _nothing(self, earlier: Pair) -> Pair:
        return rings_ahead.nothing(earlier, self.count if self.fixed else None)


def _pair(state: State, index: int, kind: str = "layer") -> Pair:
    return state[f"{kind}_{index}_keys"], state[f"{kind}_{index}_values"]


def _named(kind: str, index: int, pair: Pair) -> State:
    keys, values = pair
    return {f"{kind}_{index}_keys": keys, f"{kind}_{index}_values": values}
