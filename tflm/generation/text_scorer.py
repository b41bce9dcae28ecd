"""How likely texts are, and what is likely to follow them.

Axes: B batch, (T) tokens of a row, ragged, T tokens of the longest row,
C tokens of a chunk, K the likeliest tokens of a row, V vocabulary.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tflm import sampling
from tflm.generation.reader import Reader, like, like_rows, strings
from tflm.generation.token_spans import token_spans
from tflm.generation.token_surprisal import TokenSurprisal
from tflm.models import LanguageModel, State
from tflm.tokenizers import Tokenizer

# Tokens scored at once, fewer where their logits [B,C,V] would pass 64 MiB.
CHUNK = 128
_MOST_LOGITS = 2**24


class TextScorer(Reader):
    """Scores texts of any length and lists the likeliest next tokens.

    The first token of a text is given START, and END is not scored: scores of
    a text and of its continuation differ by what the continuation costs. A
    row's result depends on that row alone (float32). There is one trace for
    all batches. See `Reader` for the arguments.

    Example:
    >>> from tflm.models import GRU
    >>> from tflm.tokenizers import Characters
    >>> tokenizer = Characters("abc")
    >>> model = GRU(vocabulary_size=tokenizer.vocabulary_size, units=8)
    >>> scorer = TextScorer(model, tokenizer)
    >>> whole, prompt = scorer.score(["abc", "ab"])["log_prob"].numpy()
    >>> following = scorer.next_token_probabilities("ab", k=3)
    >>> bool(whole < prompt), following["probabilities"].shape
    (True, TensorShape([3]))
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        allow_end: bool = True,
        prompt_bytes_limit: int | None = None,
        precision: str = "float32",
        reads_as: Reader | None = None,
    ):
        super().__init__(
            model,
            tokenizer,
            allow_end=allow_end,
            prompt_bytes_limit=prompt_bytes_limit,
            precision=precision,
            reads_as=reads_as,
        )
        self._listed = _listed_ids(tokenizer, allow_end)
        text = tf.TensorSpec([None], tf.string, "text")
        prompt = tf.TensorSpec([None], tf.string, "prompt")
        k = tf.TensorSpec(None, sampling.SETTINGS["k"].dtype, "k")
        self.scores = tf.function(
            self._scores, input_signature=[text], autograph=False
        )
        self.following = tf.function(
            self._following, input_signature=[prompt, k], autograph=False
        )
        self.token_nats = tf.function(
            self._token_nats, input_signature=[text], autograph=False
        )

    def score(self, texts: Any) -> dict[str, tf.Tensor]:
        """Scores texts.

        Args:
            texts: A string, or strings [B]. They may be empty.

        Returns:
            A dict of tensors [B], or of scalars if `texts` is one string:
            - `log_prob`: float32, the natural logarithm of the text's
              probability, without END, its first token given START; summed in
              float64.
            - `num_tokens`: int32.
            - `num_bytes`: int32, of the text in UTF-8.
            An empty text has 0, 0 and 0.

        Raises:
            ValueError: If `texts` has a rank above 1.
        """
        texts = strings("texts", texts)
        scores = self.scores(tf.reshape(texts, [-1]))
        return like_rows(texts, scores)

    def next_token_probabilities(
        self, prompts: Any, k: Any = 10
    ) -> dict[str, tf.Tensor]:
        """Lists the likeliest next tokens, as the model itself sees them.

        No setting of generation changes the probabilities, which are those
        that `score` adds up. Listed is what a text can go on with: unknown
        too where the tokenizer has one, and END, whose text is empty, where
        training had one. Padding and START never follow anything and are left
        out, so that all that is listed comes close to 1 but not beyond.

        Args:
            prompts: A string, or strings [B]. An empty one is a text's start.
            k: int32, scalar or [B]: how many tokens. Default 10.

        Returns:
            A dict of tensors [B,K], or [K] if `prompts` is one string; K is
            the largest `k`, or V if that is less. Behind a row's own `k`, or
            where there is no more to list, stand empty strings and 0.
            - `tokens`: string, the text that each token adds to the prompt; a
              word's begins with its space. A byte is given as it is, which
              may be no valid UTF-8.
            - `probabilities`: float32, highest first; of equal ones the
              lowest id is first.

        Raises:
            ValueError: If `prompts` has a rank above 1.
            tf.errors.InvalidArgumentError: If `k` breaks its rule.
        """
        prompts = strings("prompts", prompts)
        k = sampling.as_tensor("k", k)
        return like_rows(prompts, self.following(tf.reshape(prompts, [-1]), k))

    def surprisals(
        self, texts: list[str | bytes]
    ) -> list[list[TokenSurprisal]]:
        """The cost of each token of each text.

        Args:
            texts: Strings, or bytes as they are.

        Returns:
            For each text a list of `TokenSurprisal`, in order. Their nats add
            up to minus the text's `log_prob`.

        Raises:
            ValueError: If the tokenizer does not tell where its tokens stand.
        """
        ids, nats = self.token_nats(tf.constant(texts, tf.string))
        rows = zip(texts, ids.to_list(), nats.to_list(), strict=True)
        surprisals = []
        for text, own_ids, own_nats in rows:
            raw = text.encode() if isinstance(text, str) else text
            spans = token_spans(self.tokenizer, raw)
            surprisals.append(
                [
                    TokenSurprisal(
                        begin, end, cost, id_ == self.tokenizer.unk_id
                    )
                    for (begin, end), cost, id_ in zip(
                        spans, own_nats, own_ids, strict=True
                    )
                ]
            )
        return surprisals

    def unknown_bytes(self, texts: Any) -> tf.Tensor:
        """Bytes of the texts [B] that the vocabulary lacks, int64[B]."""
        return self.tokenizer.unknown_bytes(strings("texts", texts))

    def _scores(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = self.tokenize(text)  # [B,(T)]
        tokens = tf.cast(ids.row_lengths(), tf.int32)  # [B]
        nats = tf.reduce_sum(tf.cast(self._nats(ids), tf.float64), axis=1)
        return {
            # Minus nothing would be -0.
            "log_prob": tf.cast(tf.where(tokens > 0, -nats, 0), tf.float32),
            "num_tokens": tokens,
            "num_bytes": tf.strings.length(text),
        }

    def _token_nats(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        ids = self.tokenize(text)  # [B,(T)]
        nats = self._nats(ids)  # [B,T]
        return ids, tf.RaggedTensor.from_tensor(nats, ids.row_lengths())

    def _nats(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Minus the log-probabilities of ids [B,(T)]: [B,T], 0 beyond a row."""
        lengths = tf.cast(ids.row_lengths(), tf.int32)[:, tf.newaxis]  # [B,1]
        targets = ids.to_tensor()  # [B,T]
        batch_size = tf.shape(targets)[0]
        start = tf.fill([batch_size, 1], self.tokenizer.start_id)
        inputs = tf.concat([start, targets], axis=1)[:, :-1]  # [B,T]
        room = _MOST_LOGITS // self.tokenizer.vocabulary_size
        size = tf.clip_by_value(room // tf.maximum(batch_size, 1), 1, CHUNK)

        def score_chunk(
            begin: tf.Tensor, nats: tf.Tensor, state: State
        ) -> tuple:
            end = begin + size
            chunk = targets[:, begin:end]  # [B,C]
            positions = begin + tf.range(tf.shape(chunk)[1])  # [C]
            mask = positions < lengths  # [B,C]
            costs, after = self.model.nats(
                inputs[:, begin:end], chunk, mask=mask, initial_state=state
            )
            # Where nothing stands the costs are anything, perhaps no numbers.
            costs = tf.where(mask, costs, 0)
            return end, tf.concat([nats, costs], axis=1), like(state, after)

        state = self.model.get_initial_state(batch_size)
        shapes = {name: tensor.shape for name, tensor in state.items()}
        _, nats, _ = tf.while_loop(
            lambda begin, *rest: begin < tf.shape(targets)[1],
            score_chunk,
            (tf.constant(0), tf.zeros([batch_size, 0]), state),
            (tf.TensorShape([]), tf.TensorShape([None, None]), shapes),
        )
        return nats

    def _following(
        self, prompt: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        batch_size = tf.size(prompt)
        k = sampling.checked_rows("k", k, batch_size)  # [B]
        state = self.model.get_initial_state(batch_size)
        last, state = self._read(self._prompt_ids(prompt), state)
        reads = tf.ones([batch_size], tf.bool)
        logits, _ = self.read_position(last, reads, state)  # [B,V]
        probabilities = tf.nn.softmax(logits)  # [B,V]
        # Below what any token has: so these come last.
        probabilities = tf.where(self._listed, probabilities, -1)
        width = tf.minimum(tf.reduce_max(k), tf.shape(probabilities)[1])
        # Of no rows the largest k is below any number.
        width = tf.maximum(width, 0)
        highest, ids = tf.math.top_k(probabilities, width)  # [B,K]
        there = (tf.range(width) < k[:, tf.newaxis]) & (highest >= 0)
        return {
            "tokens": tf.where(there, self._texts_of(ids, prompt), ""),
            "probabilities": tf.where(there, highest, 0),
        }

    def _texts_of(self, ids: tf.Tensor, prompt: tf.Tensor) -> tf.Tensor:
        """What each of the ids [B,K] adds to its prompt: string[B,K]."""
        # Whether a space is missing shows at the prompt's end: long prompts
        # are not copied for each id.
        pieces = tf.minimum(tf.strings.length(prompt), 1)
        end = tf.strings.substr(prompt, -pieces, pieces)  # [B]
        follows = tf.repeat(end, tf.shape(ids)[1])  # [B*K]
        texts = self.text_behind(tf.reshape(ids, [-1]), follows)
        return tf.reshape(texts, tf.shape(ids))


def _listed_ids(tokenizer: Tokenizer, allow_end: bool) -> np.ndarray:
    """bool[V], True for the ids that a text can go on with."""
    listed = np.ones(tokenizer.vocabulary_size, bool)
    listed[[tokenizer.pad_id, tokenizer.start_id]] = False
    # Where the unknown has no text, as among bytes, nothing is unknown.
    unknown = tf.constant([[tokenizer.unk_id]])
    listed[tokenizer.unk_id] = tokenizer.detokenize(unknown)[0] != b""
    listed[tokenizer.end_id] = allow_end
    return listed
