"""AdamW in one pass over a weight."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tflm.training")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW, with the same arguments, variables and steps, but faster.

    Keras makes a step of ten operations, each of which goes through the memory
    of a weight. TensorFlow has an operation that does it all in one pass, and
    another for the norm that clipping goes by.

    Reference: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1711.05101.

    Example:
    >>> weight = keras.Variable([1.0, -1.0])
    >>> optimizer = AdamW(0.1, weight_decay=0.0, global_clipnorm=1.0)
    >>> optimizer.apply([tf.constant([3.0, 4.0])], [weight])
    >>> weight.numpy().round(3)
    array([ 0.9, -1.1], dtype=float32)
    """

    def update_step(
        self, gradient: Any, variable: tf.Variable, learning_rate: Any
    ) -> None:
        """Updates a weight and the moments of its gradient.

        Args:
            gradient: float, as the weight, or `tf.IndexedSlices`.
            variable: The weight, one that the optimizer was built with.
            learning_rate: float, scalar.
        """
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return

        def constant(value: Any) -> tf.Tensor:
            return tf.cast(value, variable.dtype)

        index = self._get_variable_index(variable)
        step = constant(self.iterations + 1)
        beta_1, beta_2 = constant(self.beta_1), constant(self.beta_2)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=constant(learning_rate),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=constant(self.epsilon),
            grad=constant(tf.convert_to_tensor(gradient)),
        )

    def _clip_gradients(self, grads: list) -> list:
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0]

    def _apply_weight_decay(self, variables: list) -> None:
        if self.weight_decay:
            super()._apply_weight_decay(variables)
