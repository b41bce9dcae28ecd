"""The best texts, or different ones, kept side by side while they grow.

A step function says what may follow; nothing here knows a model or a text.

Axes: B batch, K beams, V vocabulary, (T) tokens of a text, ragged, S steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tflm.generation_settings import BEAM_METHODS
from tflm.sampling import gumbel

NEVER = float("-inf")

State = dict[str, tf.Tensor]
# The ids last chosen [N] and the state, to log-probabilities [N,V] of what
# may follow and the state. -inf is never chosen.
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
# The same for whether a text has ended with these ids, bool [N].
Ends = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


class Rules(NamedTuple):
    """What each row asks for, every field of shape [B]."""

    num_beams: tf.Tensor  # int32[B], at least 1
    limits: tf.Tensor  # int32[B], tokens of a text at the most
    length_penalty: tf.Tensor  # float32[B], see `penalty`
    seeds: tf.Tensor  # int32[B], not used by the method "likeliest"


class Beams(NamedTuple):
    """What was found, best first; where a row has less, -inf and no ids."""

    ids: tf.RaggedTensor  # int32[B,K,(T)], END left out
    scores: tf.Tensor  # float32[B,K], what they are ordered by
    log_probs: tf.Tensor  # float32[B,K], nats of the whole text
    ended: tf.Tensor  # bool[B,K], by END


class _Live(NamedTuple):
    """The beams that grow, [B,K] each, -inf where there is none."""

    log_probs: tf.Tensor
    priorities: tf.Tensor  # the highest go on


class _Found(NamedTuple):
    """The texts that have ended, [B,K] each, best first."""

    scores: tf.Tensor
    log_probs: tf.Tensor
    lengths: tf.Tensor  # tokens, END left out
    beams: tf.Tensor  # the beam at the last of them
    ended: tf.Tensor


def beam_search(
    step: Step,
    state: State,
    last: tf.Tensor,
    rules: Rules,
    *,
    end_id: int,
    method: str = "likeliest",
    ends: Ends | None = None,
) -> Beams:
    """Grows `num_beams` texts a row until no better one can come.

    A text with END leaves the beam; so does one at its limit. What has ended
    is kept apart, as many as the row has beams, by score: the log-probability
    divided by `penalty`. The search ends when no beam can surpass the worst
    of them, so that a beam wide enough for all texts finds the best ones.

    - `likeliest`: the beams with the highest log-probability go on.
    - `multinomial`: at each step as many continuations as the row has beams
      are drawn among those of all beams, END's too, without replacement, each
      with a probability proportional to that of its whole text.
    - `stochastic`: the texts found are a draw without replacement from all
      texts, in the order of the draw. Their scores are log-probabilities
      perturbed by Gumbel noise, the best 0, and no length counts. Reference:
      Kool, van Hoof and Welling, 2019, https://arxiv.org/abs/1903.06059.

    Args:
        step: See `Step`. N is B times K, a row's beams side by side.
        state: Tensors of B rows before `last` is read, `position` among them.
        last: int32[B], the ids that the first step reads.
        rules: What each row asks for.
        end_id: int.
        method: One of `BEAM_METHODS`.
        ends: Optional, see `Ends`. Default None: nothing but END ends a text.

    Returns:
        `Beams`, K the most beams that a row asks for.
    """
    if method not in BEAM_METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(BEAM_METHODS)}. "
            f"Received: method={method!r}"
        )
    width = tf.reduce_max(tf.concat([rules.num_beams, [1]], 0))  # K
    positions = state["position"]
    row = tf.repeat(tf.range(tf.size(last)), width)  # [B*K]
    state = {name: tf.gather(tensor, row) for name, tensor in state.items()}
    room = tf.range(width) < rules.num_beams[:, tf.newaxis]  # [B,K]
    first = (tf.range(width) == 0) & (rules.limits > 0)[:, tf.newaxis]
    begun = tf.where(first, 0.0, NEVER)
    found = _nothing(rules, width)

    def grow(
        count: tf.Tensor,
        last: tf.Tensor,
        state: State,
        live: _Live,
        found: _Found,
        steps: tuple[tf.TensorArray, tf.TensorArray],
    ) -> tuple:
        log_probs, state = step(last, state)
        size = tf.shape(log_probs)[1]  # V
        totals = live.log_probs[:, :, tf.newaxis] + tf.reshape(
            log_probs, [-1, width, size]
        )  # [B,K,V]
        priorities = _priorities(
            method, totals, live, room, rules.seeds, positions + count + 1
        )
        found = _with_ended(
            found,
            _Live(totals[:, :, end_id], priorities[:, :, end_id]),
            count,
            rules,
            method,
            ended=True,
        )
        live, parents, tokens = _best(totals, priorities, room, end_id)
        chosen = tf.reshape(
            parents + width * tf.range(tf.shape(parents)[0])[:, tf.newaxis],
            [-1],
        )
        state = {name: tf.gather(t, chosen) for name, t in state.items()}
        last = tf.reshape(tokens, [-1])
        out = tf.broadcast_to(
            count + 1 >= rules.limits[:, tf.newaxis], tf.shape(tokens)
        )
        if ends is not None:
            met, state = ends(last, state)
            out |= tf.reshape(met, tf.shape(tokens))
        found = _with_ended(
            found,
            _Live(*(tf.where(out, part, NEVER) for part in live)),
            count + 1,
            rules,
            method,
            ended=False,
        )
        out |= _is_settled(live, found, count + 1, rules, method)
        live = _Live(*(tf.where(out, NEVER, part) for part in live))
        tokens_of, parents_of = steps
        steps = tokens_of.write(count, tokens), parents_of.write(count, parents)
        return count + 1, *_like(begin, (last, state, live, found)), steps

    steps = _steps(), _steps()
    begin = tf.gather(last, row), state, _Live(begun, begun), found
    count, *_, found, steps = tf.while_loop(
        lambda count, last, state, live, *_: tf.reduce_any(
            live.log_probs > NEVER
        ),
        grow,
        (tf.constant(0), *begin, steps),
    )
    return Beams(
        _traced(found, steps[0], steps[1], count),
        found.scores,
        found.log_probs,
        found.ended,
    )


def penalty(length: tf.Tensor, length_penalty: tf.Tensor) -> tf.Tensor:
    """What the log-probability of a text of some tokens is divided by.

    0 is off; above 0 longer texts gain, below shorter ones. END counts as a
    token. Reference: Wu et al., 2016, equation 14,
    https://arxiv.org/abs/1609.08144.

    >>> penalty(tf.constant([1, 7]), tf.constant(1.0)).numpy()
    array([1., 2.], dtype=float32)
    """
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** length_penalty


def _steps() -> tf.TensorArray:
    shape = [None, None]  # [B,K]
    return tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=shape)


def _like(before: Any, after: Any) -> Any:
    """The tensors `after` with the shapes of `before`: a loop keeps them."""
    return tf.nest.map_structure(
        lambda old, new: tf.ensure_shape(new, old.shape), before, after
    )


def _nothing(rules: Rules, width: tf.Tensor) -> _Found:
    """What is found before the first step: the empty text, if none may grow."""
    shape = tf.stack([tf.size(rules.limits), width])
    none = tf.zeros(shape, tf.int32)
    empty = (rules.limits == 0)[:, tf.newaxis] & (tf.range(width) == 0)
    scores = tf.where(empty, 0.0, NEVER)
    return _Found(scores, scores, none, none, tf.zeros(shape, tf.bool))


def _priorities(
    method: str,
    totals: tf.Tensor,
    live: _Live,
    room: tf.Tensor,
    seeds: tf.Tensor,
    positions: tf.Tensor,
) -> tf.Tensor:
    """By what the continuations are chosen, [B,K,V]."""
    if method == "likeliest":
        return totals
    noise = gumbel.noise(tf.shape(totals), seeds, positions)
    if method == "stochastic":
        return gumbel.with_maximum(totals + noise, live.priorities)
    perturbed = totals + noise
    flat = tf.reshape(perturbed, [tf.shape(totals)[0], -1])  # [B,K*V]
    drawn = tf.math.top_k(flat, tf.shape(room)[1]).values  # [B,K]
    lowest = tf.reduce_min(tf.where(room, drawn, float("inf")), axis=1)
    out = perturbed < lowest[:, tf.newaxis, tf.newaxis]
    return tf.where(out, NEVER, perturbed)


def _best(
    totals: tf.Tensor, priorities: tf.Tensor, room: tf.Tensor, end_id: int
) -> tuple[_Live, tf.Tensor, tf.Tensor]:
    """The beams that go on, [B,K], their parents and their tokens."""
    batch, width, size = tf.unstack(tf.shape(totals))
    ends = tf.range(size) == end_id
    flat = tf.reshape(tf.where(ends, NEVER, priorities), [batch, -1])
    # A vocabulary may have fewer ids than there are beams, never so for K*V.
    highest, places = tf.math.top_k(flat, width)  # [B,K]
    there = room & (highest > NEVER)
    log_probs = tf.gather(tf.reshape(totals, [batch, -1]), places, batch_dims=1)
    live = _Live(
        tf.where(there, log_probs, NEVER), tf.where(there, highest, NEVER)
    )
    return live, places // size, places % size


def _with_ended(
    found: _Found,
    texts: _Live,
    lengths: tf.Tensor,
    rules: Rules,
    method: str,
    ended: bool,
) -> _Found:
    """The best of what was found and of texts [B,K] that have ended."""
    if method == "stochastic":
        scores = texts.priorities
    else:
        counted = lengths + int(ended)
        divisor = penalty(counted, rules.length_penalty)[:, tf.newaxis]
        scores = tf.where(
            texts.priorities > NEVER, texts.log_probs / divisor, NEVER
        )
    shape = tf.shape(scores)
    new = _Found(
        scores,
        tf.where(scores > NEVER, texts.log_probs, NEVER),
        tf.broadcast_to(lengths, shape),
        tf.broadcast_to(tf.range(shape[1]), shape),
        tf.fill(shape, ended),
    )
    both = [tf.concat(pair, axis=1) for pair in zip(found, new, strict=True)]
    width = shape[1]
    _, order = tf.math.top_k(both[0], width)  # [B,K]
    kept = _Found(*(tf.gather(part, order, batch_dims=1) for part in both))
    room = tf.range(width) < rules.num_beams[:, tf.newaxis]
    return kept._replace(
        scores=tf.where(room, kept.scores, NEVER),
        log_probs=tf.where(room, kept.log_probs, NEVER),
    )


def _is_settled(
    live: _Live, found: _Found, length: tf.Tensor, rules: Rules, method: str
) -> tf.Tensor:
    """Rows of which no beam can surpass what was found, bool [B,1]."""
    worst = tf.gather(found.scores, rules.num_beams - 1, batch_dims=1)
    if method == "stochastic":
        best = tf.reduce_max(live.priorities, axis=1)
    else:
        highest = tf.reduce_max(live.log_probs, axis=1)  # [B]
        # A log-probability can only fall; the divisor is monotonic.
        best = tf.maximum(
            highest / penalty(length + 1, rules.length_penalty),
            highest / penalty(rules.limits, rules.length_penalty),
        )
    return (worst >= best)[:, tf.newaxis]


def _traced(
    found: _Found,
    tokens: tf.TensorArray,
    parents: tf.TensorArray,
    count: tf.Tensor,
) -> tf.RaggedTensor:
    """The ids of the texts found, [B,K,(T)], from their ends to their begin."""

    def back(
        place: tf.Tensor, beams: tf.Tensor, ids: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        there = place < found.lengths
        own = tf.gather(tokens.read(place), beams, batch_dims=1)
        before = tf.gather(parents.read(place), beams, batch_dims=1)
        beams = _like(beams, tf.where(there, before, beams))
        return place - 1, beams, ids.write(place + 1, own)

    # One more than there are: an empty array cannot be stacked.
    ids: Any = tf.TensorArray(
        tf.int32, count + 1, element_shape=[None, None]
    ).write(0, found.beams)
    _, _, ids = tf.while_loop(
        lambda place, *_: place >= 0, back, (count - 1, found.beams, ids)
    )
    shape = tf.shape(found.lengths)
    stacked = tf.reshape(ids.stack()[1:], [count, -1])  # [S,B*K]
    lengths = tf.where(found.scores > NEVER, found.lengths, 0)
    flat = tf.RaggedTensor.from_tensor(
        tf.transpose(stacked), tf.reshape(lengths, [-1])
    )
    rows = tf.cast(tf.range(shape[0] + 1) * shape[1], tf.int64)
    return tf.RaggedTensor.from_row_splits(flat, rows, validate=False)
