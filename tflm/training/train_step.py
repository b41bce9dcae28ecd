"""One optimizer step on a batch, on every device. Axes: B batch, T time."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tflm.models import LanguageModel, State, side_by_side
from tflm.pipelines import Sequences


class TrainStep:
    """An optimizer step on a batch, as one graph.

    Args:
        model: The compiled `LanguageModel`.
        sequences: The training data, of which the batches will be. Where its
            rows go on from batch to batch, the model's state goes with them:
            it is kept in `carried`, variables by name.
        parts: int. Parts of the rows that are worked on side by side, see
            `models.row_shares`; replicas have theirs together. Default 1.

    Raises:
        ValueError: If rows go on and more than one device trains.
    """

    def __init__(
        self, model: LanguageModel, sequences: Sequences, parts: int = 1
    ):
        self.model = model
        self.sequences = sequences
        self.strategy = tf.distribute.get_strategy()
        self.carried = self._carried_state()
        self.run = tf.function(self._on_all_devices, autograph=False)
        alone = self.strategy.num_replicas_in_sync == 1
        self.parts = parts if alone else 1

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """The batches of a dataset, shared out among the devices."""
        batches = iter(self.strategy.experimental_distribute_dataset(dataset))
        if None in self.sequences.shape:
            # A batch is as long as its longest row: one trace serves all.
            self.run = tf.function(
                self._on_all_devices,
                input_signature=batches.element_spec,
                autograph=False,
            )
        return batches

    def __call__(self, *batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes the step; the nats and the count of the batch's targets."""
        return self.run(*batch)

    def _carried_state(self) -> dict[str, tf.Variable]:
        """The state between batches; empty where no row goes on."""
        if not self.sequences.carries:
            return {}
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "`sequences` must not be contiguous where more than one "
                "device trains: the rows of a batch would change places. "
                f"Received: {replicas} devices"
            )
        state = self.model.get_initial_state(self.sequences.batch_size)
        return {
            name: tf.Variable(tensor, trainable=False, name=name)
            for name, tensor in state.items()
        }

    def _on_all_devices(self, *batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        sums = self.strategy.run(self._on_a_device, args=batch)
        return tuple(
            self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for value in sums
        )

    def _on_a_device(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        resets: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step; the nats and the count of its targets."""
        context = tf.distribute.get_replica_context()
        count = tf.reduce_sum(weights)
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, count)
        before = None
        if resets is not None:
            before = {
                name: _without(variable, resets)
                for name, variable in self.carried.items()
            }
        with tf.GradientTape() as tape:
            nats, after = side_by_side(
                self._nats, self.parts, inputs, targets, weights, before
            )
            nats = tf.reduce_sum(nats)
            loss = nats / tf.maximum(total, 1.0)
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        # Dense: in slices, an id that comes twice would count twice over in
        # the norm that clipping goes by.
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        self.model.optimizer.apply(gradients, variables)
        for name, variable in self.carried.items():
            variable.assign(after[name])
        return nats, count

    def _nats(self, *rows: Any) -> tuple[tf.Tensor, State]:
        """Of some rows, the nats [1], and the state behind them."""
        nats, after = self.model.training_nats(*rows)
        return nats[tf.newaxis], after


def _without(state: tf.Tensor, resets: tf.Tensor) -> tf.Tensor:
    """A state's tensor [B,...], all zeros in the rows that begin anew."""
    state = tf.convert_to_tensor(state)
    rows = tf.reshape(resets, [-1] + [1] * (state.shape.rank - 1))
    return tf.where(rows, tf.zeros_like(state), state)
