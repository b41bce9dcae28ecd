"""Rings of keys and values: position p stands in slot `p % context`.

Axes: B batch, H heads, T time, W width of a head, C context.
"""

import tensorflow as tf

Pair = tuple[tf.Tensor, tf.Tensor]


def slots(position: tf.Tensor, context: int) -> tf.Tensor:
    """The position in each slot, int32 [B,C]; below zero where there is none.

    Args:
        position: int32 [B]. Positions written so far.
        context: int. Slots, C.

    Returns:
        int32 [B,C].

    Example:
    >>> slots(tf.constant([2, 6]), context=4).numpy().tolist()
    [[0, 1, -2, -1], [4, 5, 2, 3]]
    """
    newest = position[:, tf.newaxis] - 1  # [B,1]
    return newest - (newest - tf.range(context)) % context


def written(
    ring: Pair, new: Pair, position: tf.Tensor, mask: tf.Tensor | None
) -> Pair:
    """The ring with the keys and values of one new position.

    Args:
        ring: Pair of float32 [B,H,C,W].
        new: Pair of float [B,H,1,W].
        position: int32 [B], the new one's.
        mask: Optional bool [B,1]. Where it is False the ring stays as it is.

    Returns:
        As `ring`.
    """
    _, heads, context, _ = ring[0].shape
    slot = position[:, tf.newaxis] % context  # [B,1]
    slot = tf.repeat(slot, heads, axis=1)  # [B,H]
    rows, numbers = (tf.range(size) for size in tf.unstack(tf.shape(slot)))
    row, head = tf.meshgrid(rows, numbers, indexing="ij")
    indices = tf.stack([row, head, slot], axis=2)  # [B,H,3]
    after = []
    for old, one in zip(ring, new, strict=True):
        one = tf.cast(one[:, :, 0], tf.float32)  # [B,H,W]
        if mask is not None:
            kept = tf.gather_nd(old, indices)
            one = tf.where(mask[:, :, tf.newaxis], one, kept)
        after.append(tf.tensor_scatter_nd_update(old, indices, one))
    return after[0], after[1]


def turned(
    ring: Pair, new: Pair, position: tf.Tensor, mask: tf.Tensor | None
) -> Pair:
    """The ring with the keys and values of new positions in their slots.

    Args:
        ring: Pair of float32 [B,H,C,W].
        new: Pair of float [B,H,T,W].
        position: int32 [B]. Positions before the new ones.
        mask: Optional bool [B,T]. Where it is False there is no position.

    Returns:
        As `ring`.
    """
    time = tf.shape(new[0])[2]
    if mask is None:
        count = tf.fill(tf.shape(position), time)  # [B]
    else:
        read = tf.cumsum(tf.cast(mask, tf.int32), axis=1)  # [B,T]
        count = read[:, -1]
    positions = slots(position + count, ring[0].shape[2])  # [B,C]
    order = positions - position[:, tf.newaxis]  # among the new that are read
    if mask is not None:
        order = tf.searchsorted(read, order + 1)
    fresh = positions >= position[:, tf.newaxis]
    fresh = fresh[:, tf.newaxis, :, tf.newaxis]
    order = tf.clip_by_value(order, 0, time - 1)
    keys, values = (
        tf.where(
            fresh,
            tf.gather(tf.cast(part, tf.float32), order, axis=2, batch_dims=1),
            old,
        )
        for part, old in zip(new, ring, strict=True)
    )
    return keys, values
