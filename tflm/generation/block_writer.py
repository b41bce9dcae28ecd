"""The loop over tokens, in blocks. Axes: B batch, S tokens written."""

import os

import tensorflow as tf

from tflm import sampling
from tflm.generation.generator import Generator
from tflm.generation.reader import like
from tflm.generation.row_parts import joined, row_parts
from tflm.layers import row_part
from tflm.layers.fused import fused_by_part
from tflm.models import State
from tflm.models.row_shares import MOST_PARTS

REASONS = ("length", "end", "stop")
# Tokens that are written at a time: what a block begins and ends with is then
# little to each, and what it carries is little, too.
_BLOCK = 16
# Parts of the rows at the most, each of which is a loop in the graph.
_PARTS = 8

Rows = dict[str, tf.Tensor]


class BlockWriter:
    """Writes rows on until each has ended, a block of tokens at a time.

    Rows are `last`, int32 [B], the ids that are read first; `limits`, int32
    [B]; `goes_on`, bool [B]; `reason`, int32 [B], of `REASONS`; `lengths`,
    int32 [B], of what is written; `recent_ids`, int32 [B,N], if a rule of the
    generator's asks for them; with stop strings `follows`, string [B], what is
    before the next token, `stop_state`, int32 [B], and `kept`, int32 [B], the
    bytes before a stop string.

    Args:
        generator: The `Generator`, for its rules.
        fixed: bool. Whether a block is one kernel made by XLA. Default False.
        kernels: bool. Whether parts of it may be. Default False.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        fixed: bool = False,
        kernels: bool = False,
    ):
        self.generator = generator
        self.steps = generator.model.steps(_BLOCK, fixed=fixed, kernels=kernels)
        self._write_block = (
            fused_by_part(self._block) if fixed else lambda part: self._block
        )

    def write(
        self, rows: Rows, state: State, settings: sampling.RowSettings
    ) -> tuple[Rows, tf.Tensor]:
        """The rows at their ends, and the ids that were drawn, int32 [B,S]."""
        return self._write(self.steps.weights(), rows, state, settings)

    def write_parts(
        self, rows: Rows, state: State, settings: sampling.RowSettings
    ) -> tuple[Rows, tf.Tensor]:
        """As `write`, each core at a part of the rows.

        A kernel made by XLA leaves most of its work to one core. Without one
        it is for models whose steps are faster so, see `Steps.in_parts`.
        """
        most = _PARTS if self.steps.fixed else MOST_PARTS
        parts = row_parts(tf.size(rows["limits"]), _workers(most))
        weights = self.steps.weights()
        written = []
        for index, part in enumerate(parts):
            own = part.of(rows)
            own["goes_on"] &= part.own
            given = own, like(state, part.of(state)), part.of(settings)
            with row_part.working_on(index):
                written.append(self._write(weights, *given))
        longest = tf.reduce_max([tf.shape(drawn)[1] for _, drawn in written])
        padded = [
            (own, tf.pad(drawn, [[0, 0], [0, longest - tf.shape(drawn)[1]]]))
            for own, drawn in written
        ]
        return joined(parts, padded)

    def _write(
        self,
        weights: tuple[tf.Tensor, ...],
        rows: Rows,
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[Rows, tf.Tensor]:
        # An empty array cannot be stacked: it begins with a block of nothing.
        nothing = tf.zeros([_BLOCK, tf.size(rows["limits"])], tf.int32)
        blocks = tf.TensorArray(tf.int32, size=1, dynamic_size=True)
        write_block = self._write_block(row_part.index())

        def block(
            count: tf.Tensor, rows: Rows, state: State, blocks: tf.TensorArray
        ) -> tuple:
            rows, after, drawn = write_block(weights, rows, state, settings)
            state = like(state, after)
            return count + 1, rows, state, blocks.write(count, drawn)

        _, rows, _, blocks = tf.while_loop(
            lambda count, rows, *_: tf.reduce_any(rows["goes_on"]),
            block,
            (
                tf.constant(1),
                rows,
                self.steps.begin(state),
                blocks.write(0, nothing),
            ),
        )
        return rows, tf.transpose(blocks.concat()[_BLOCK:])

    def _block(
        self,
        weights: tuple[tf.Tensor, ...],
        rows: Rows,
        state: State,
        settings: sampling.RowSettings,
    ) -> tuple[Rows, State, tf.Tensor]:
        """Writes the next tokens, int32 [_BLOCK,B]."""
        none = tf.zeros([_BLOCK, tf.size(settings.seed)], tf.int32)
        numbers = tf.cond(
            tf.reduce_any(settings.temperature > 0),
            lambda: sampling.uniforms(
                settings.seed, state["position"] + 1, _BLOCK
            ),
            lambda: tf.cast(none, tf.float64),
        )  # [_BLOCK,B]

        def token(
            count: tf.Tensor, rows: Rows, state: State, drawn: tf.Tensor
        ) -> tuple:
            last, goes_on = rows["last"], rows["goes_on"]
            logits, after = self.steps.read(weights, last, goes_on, state)
            if "recent_ids" in rows:
                recent = self.generator.remembered(
                    rows["recent_ids"], last, goes_on
                )
                rows = like(rows, {**rows, "recent_ids": recent})
            ids = sampling.sample(
                self.generator.allowed(logits, rows),
                after["position"],
                settings,
                self.generator.settings.min_p,
                numbers[count],
                self.steps.fixed,
            )
            now = tf.range(_BLOCK)[:, tf.newaxis] == count  # [_BLOCK,1]
            drawn = tf.where(now, ids, drawn)
            return count + 1, self._grown(rows, ids), like(state, after), drawn

        _, rows, state, drawn = tf.while_loop(
            lambda count, rows, *_: (
                (count < _BLOCK) & tf.reduce_any(rows["goes_on"])
            ),
            token,
            (tf.constant(0), rows, state, none),
        )
        return rows, self.steps.turn(state), drawn

    def _grown(self, rows: Rows, drawn: tf.Tensor) -> Rows:
        """The rows with a token drawn for each, [B]."""
        generator, goes_on = self.generator, rows["goes_on"]
        ends = goes_on & (drawn == generator.tokenizer.end_id)
        grows = goes_on & ~ends
        lengths = rows["lengths"] + tf.cast(grows, tf.int32)
        reason = tf.where(ends, REASONS.index("end"), rows["reason"])
        after = {**rows, "last": drawn, "lengths": lengths}
        if generator.stops:
            text = generator.text_behind(drawn, rows["follows"])
            text = tf.where(grows, text, "")
            stop_state, kept = generator.stops.advance(rows["stop_state"], text)
            met = grows & generator.stops.met(stop_state)
            reason = tf.where(met, REASONS.index("stop"), reason)
            grows &= ~met
            after["follows"] = tf.where(text == "", rows["follows"], text)
            after["stop_state"] = stop_state
            after["kept"] = rows["kept"] + kept
        goes_on = grows & (lengths < rows["limits"])
        return after | {"goes_on": goes_on, "reason": reason}


def _workers(most: int) -> int:
    """What can work on a part of the rows each: a GPU works on all of them."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return min(os.cpu_count() or 1, most)
