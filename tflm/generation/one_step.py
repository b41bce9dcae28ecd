"""Text token by token, with the state in the caller's hands.

Axes: B batch, (T) tokens of a row, ragged.
"""

import functools
from typing import Any

import tensorflow as tf

from tflm import sampling
from tflm.generation.generator import Generator
from tflm.generation.reader import any_rows, checked
from tflm.generation.stop_strings import first_bytes
from tflm.generation_settings import STEP_SETTINGS
from tflm.models import State

# Far from where int32 ends, whatever is read next.
_MOST_POSITION = 2**30


class OneStep(Generator):
    """Reads what is new in each row and gives the text of its next token.

    The state is the generator's, `last_id` int32[B], the token last drawn,
    and, if there are stop strings, `stop_state` int32[B], how much of them has
    been met. A row reads its new text:

    - A row at position 0 reads START before it; the text may be empty.
    - The text of `last_id` stands for that very token.
    - Any other text is tokenized and read whole.
    - After position 0, a row with an empty text stays as it is and gives an
      empty text: so a row that met END, whose text is empty, stays ended.
    - So does a row whose text ended in a stop string, when it is given that
      end of it.

    See `Generator` for the arguments.

    Example:
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> one_step = OneStep(model, tokenizer)
    >>> text, states = one_step.generate_one_step(["ab", ""])
    >>> text, states = one_step.generate_one_step(text, states, top_k=2)
    >>> text.shape, states["position"].shape
    (TensorShape([2]), TensorShape([2]))
    """

    @functools.cached_property
    def step(self) -> tf.types.experimental.PolymorphicFunction:
        """`generate_one_step` for a graph: inputs, states and settings."""
        return tf.function(
            self._step, input_signature=self._signature(), autograph=False
        )

    def generate_one_step(
        self,
        inputs: Any,
        states: State | None = None,
        temperature: Any = None,
        top_k: Any = None,
        top_p: Any = None,
        seed: Any = None,
    ) -> tuple[tf.Tensor, State]:
        """Generates the next token of every row.

        Args:
            inputs: Strings [B]: prompts at first, then what came out last.
            states: State that the call before returned. Default None: the
                rows are new.
            temperature: float32, scalar or [B]. Default None: as in
                `settings`, like the following.
            top_k: int32, scalar or [B].
            top_p: float32, scalar or [B].
            seed: int32, scalar or [B].

        Returns:
            The text of the next tokens, string[B], and the states.

        Raises:
            ValueError: If `inputs` is not of rank 1.
            tf.errors.InvalidArgumentError: If a setting breaks its rule.
        """
        inputs = tf.convert_to_tensor(inputs, tf.string)
        if inputs.shape.rank != 1:
            raise ValueError(
                "`inputs` must be strings of shape [B]; put a single one in "
                f"a list. Received: inputs.shape={inputs.shape}"
            )
        if states is None:
            states = self.initial_state(tf.size(inputs))
        settings = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        }
        with self.turn():
            return self.step(inputs, states, **self.tensors(settings))

    def initial_state(self, batch_size: int | tf.Tensor) -> State:
        """The states of `batch_size` new rows: tensors by name, all zeros."""
        state = self._begin(batch_size)
        state["last_id"] = tf.zeros([batch_size], tf.int32)
        if self.stops:
            state["stop_state"] = self.stops.start(batch_size)
        return state

    def _signature(self) -> tuple:
        states = any_rows(self.initial_state(1))
        settings = [
            tf.TensorSpec(None, sampling.SETTINGS[name].dtype, name)
            for name in STEP_SETTINGS
        ]
        return tf.TensorSpec([None], tf.string, "inputs"), states, *settings

    def _step(
        self,
        inputs: tf.Tensor,
        states: State,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, State]:
        settings = sampling.row_settings(
            tf.size(inputs),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        state = self._checked_state(states, tf.size(inputs))
        last_id = state.pop("last_id")
        stop_state = state.pop("stop_state", None)
        ids, repeats = self._new_ids(inputs, state, last_id, stop_state)
        reads = ids.row_lengths() > 0  # [B]
        last, state = self._read(ids, state)
        drawn, state = self._next(last, reads, state, settings)
        drawn = checked(
            drawn,
            tf.reduce_all(drawn < self.tokenizer.vocabulary_size),
            "states must be those that an earlier call returned: no "
            "probabilities come of these",
        )
        outputs = tf.where(reads, self.text_behind(drawn, inputs), "")
        state["last_id"] = tf.where(reads, drawn, last_id)
        if self.stops:
            # What is looked for is looked for behind a prompt, not in it.
            begun = tf.where(repeats | ~reads, stop_state, self.stops.start(1))
            stop_state, kept = self.stops.advance(begun, outputs)
            outputs = first_bytes(outputs, kept)
            state["stop_state"] = stop_state
        return outputs, state

    def _checked_state(self, states: State, batch_size: tf.Tensor) -> State:
        """The states, in as many rows as there are inputs, numbers in range."""
        state = {}
        for name, tensor in states.items():
            state[name] = checked(
                tensor,
                tf.shape(tensor)[0] == batch_size,
                f"`{name}` must have as many rows as `inputs`. Received: rows=",
                tf.shape(tensor)[0],
                "for a number of rows of",
                batch_size,
            )
            if tensor.dtype.is_integer:
                most = self._most(name)
                sound = (tensor >= 0) & (tensor <= most)
                state[name] = checked(
                    state[name],
                    tf.reduce_all(sound),
                    f"`{name}` must be from 0 to {most}. Received: {name}=",
                    tf.boolean_mask(tensor, ~sound),
                )
        return state

    def _most(self, name: str) -> int:
        """The largest number that a state of integers may have."""
        if name == "position":
            return _MOST_POSITION
        if name == "stop_state" and self.stops:
            return self.stops.num_states - 1
        return self.tokenizer.vocabulary_size - 1

    def _new_ids(
        self,
        inputs: tf.Tensor,
        state: State,
        last_id: tf.Tensor,
        stop_state: tf.Tensor | None,
    ) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """What each row reads, ids [B,(T)], and who repeats its last, [B]."""
        new = state["position"] == 0
        # A word's text begins with its space where it follows another.
        texts = [
            self.text_behind(last_id, tf.fill(tf.shape(inputs), before))
            for before in ("", "a")
        ]
        same = (inputs == texts[0]) | (inputs == texts[1])
        repeats = same & (inputs != "") & ~new
        first = tf.where(new, self.tokenizer.start_id, last_id)  # [B]
        reads_first = new | repeats
        text = tf.where(repeats, "", inputs)
        if self.stops:
            # The output was cut where the stop string ended.
            size = tf.strings.length(inputs)
            begins = [first_bytes(whole, size) == inputs for whole in texts]
            ended = self.stops.met(stop_state) & (begins[0] | begins[1])
            reads_first &= ~ended
            text = tf.where(ended, "", text)
        ids = tf.concat(
            [
                tf.ragged.boolean_mask(
                    first[:, tf.newaxis], reads_first[:, tf.newaxis]
                ),
                self._ids(text),
            ],
            axis=1,
        )
        return ids, repeats
