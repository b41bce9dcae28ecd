"""Uses an export with TensorFlow alone, as a program without tflm would.

use_export.py DIRECTORY
"""

import sys

# An import of any of these fails from here on.
for package in ("tflm", "keras", "tensorflow_text"):
    sys.modules[package] = None  # type: ignore[assignment]

import tensorflow as tf  # noqa: E402


def main() -> None:
    """Writes a text with `generate`, and the same one token by token."""
    loaded = tf.saved_model.load(sys.argv[1])
    prompt = tf.constant(["The "])
    (text,) = loaded.signatures["generate"](
        prompt=prompt,
        max_new_tokens=tf.constant(20),
        temperature=tf.constant(1.0),
        top_k=tf.constant(0),
        top_p=tf.constant(1.0),
        seed=tf.constant(7),
    )["text"].numpy()
    following, states, pieces = prompt, None, [prompt]
    for _ in range(20):
        following, states = loaded.generate_one_step(
            following, states=states, seed=7
        )
        pieces.append(following)
    joined = tf.strings.join(pieces).numpy()[0]
    if text != joined:
        raise SystemExit(f"one text for one seed, but {text!r} != {joined!r}")
    print(f"the export writes {text.decode()!r}")


if __name__ == "__main__":
    main()
