"""A SentencePiece model: trained, and read as the text of its ids.

Axes: V vocabulary.
"""

import io
import re
import tempfile
from typing import Any

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from tflm.tokenizers.tokenizer import Tokenizer

DEFAULT_SIZE = 8_000
# SentencePiece's sign for a space, in its pieces and, by bad luck, in texts.
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"

_SPECIAL = 4
_BYTE_PIECES = 256


def trained(
    lines: list[str], model_type: str, vocabulary_size: int | None
) -> bytes:
    """Trains a model with the `sentencepiece` library.

    Args:
        lines: Strings without newlines, tabs and `SPACE`.
        model_type: "unigram" or "bpe".
        vocabulary_size: Optional int. Default None: 8,000, or as many ids as
            the lines allow.

    Returns:
        The serialised model, the same for the same lines.

    Raises:
        ValueError: If the lines allow no such vocabulary.
    """
    written = io.BytesIO()
    # The one thing that it rewrites is what `tokenize` keeps from it. With no
    # rule at all it says on standard error, once for each graph, that it has
    # none.
    rules = tempfile.NamedTemporaryFile("w", suffix=".tsv")  # noqa: SIM115
    rules.write(f"{ord(SPACE):X}\t20\n")
    rules.flush()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=model_type,
            vocab_size=vocabulary_size or DEFAULT_SIZE,
            normalization_rule_tsv=rules.name,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            byte_fallback=True,
            max_sentence_length=2**30,
            num_threads=2,
            minloglevel=2,
            # The names have a space, which is `SPACE` in what texts turn into.
            pad_id=Tokenizer.pad_id,
            unk_id=Tokenizer.unk_id,
            bos_id=Tokenizer.start_id,
            eos_id=Tokenizer.end_id,
            pad_piece="pad id",
            unk_piece="unk id",
            bos_piece="start id",
            eos_piece="end id",
        )
    except (RuntimeError, OSError) as error:
        said = str(error)
        most = re.search(r"too high .* value <= (\d+)", said)
        least = re.search(r"required_chars. \d+ vs (\d+)", said)
        if most and vocabulary_size is None:
            return trained(lines, model_type, int(most[1]))
        if most:
            rule = f"at most {most[1]}, which is all that the text allows"
        elif least:
            rule = f"at least {least[1]}, for the bytes and characters"
        else:
            raise ValueError(
                "`texts` must be text that SentencePiece can learn from. "
                f"Received: {len(lines)} lines, {said.splitlines()[-1]}"
            ) from None
        raise ValueError(
            f"`vocabulary_size` must be {rule}. "
            f"Received: vocabulary_size={vocabulary_size or DEFAULT_SIZE}"
        ) from None
    finally:
        rules.close()
    # The module makes its classes when it is imported.
    protos: Any = sentencepiece_model_pb2
    model = protos.ModelProto.FromString(written.getvalue())
    # The name of a file that is gone: one text gives one model.
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    return model.SerializeToString(deterministic=True)


def surfaces(model: bytes) -> np.ndarray:
    """The bytes of each id's text, object [V].

    Raises:
        ValueError: If the model is not as `trained` makes it: with bytes, the
            special ids of `Tokenizer`, and no space behind the first
            character of a piece.
    """
    processor = sentencepiece.SentencePieceProcessor()
    processor.load_from_serialized_proto(model)
    size = processor.get_piece_size()
    special = (
        processor.pad_id(),
        processor.unk_id(),
        processor.bos_id(),
        processor.eos_id(),
    )
    in_bytes = [i for i in range(size) if processor.is_byte(i)]
    if special != tuple(range(_SPECIAL)) or len(in_bytes) != _BYTE_PIECES:
        raise ValueError(
            "`model` must have byte fallback and the ids 0 to 3 for padding, "
            f"unknown, start and end. Received: {len(in_bytes)} bytes, "
            f"ids {special}"
        )
    pieces = [processor.id_to_piece(i).replace(SPACE, " ") for i in range(size)]
    _check_spaces(pieces)
    texts = [piece.encode() for piece in pieces]
    for number in in_bytes:
        texts[number] = bytes([int(pieces[number][3:-1], 16)])
    texts[:_SPECIAL] = [b"", "\N{REPLACEMENT CHARACTER}".encode(), b"", b""]
    return np.array(texts, object)


def _check_spaces(pieces: list[str]) -> None:
    for piece in pieces[_SPECIAL:]:
        if " " in piece[1:] or "\n" in piece:
            raise ValueError(
                "`model` must have no piece with a newline, or with a space "
                "behind its first character (train it with "
                "split_by_whitespace and without "
                f"allow_whitespace_only_pieces). Received: piece={piece!r}"
            )
