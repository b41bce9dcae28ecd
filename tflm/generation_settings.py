"""The settings of generation: their rules and their values.

They stand apart from the code that obeys them, so that a command can name and
check its flags without TensorFlow.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tflm import checked

_INFINITY = float("inf")
_LARGEST = 2**31 - 1
# More rows, as beams are too, are a mistake, not a wish.
MOST_BEAMS = 1024
MOST_ROWS = 1024
# What each method of beam search keeps: the likeliest, a draw among all
# continuations at each step, a draw of whole texts without replacement.
BEAM_METHODS = ("likeliest", "multinomial", "stochastic")
ON_UNKNOWN = ("unk", "drop", "error")
PRECISIONS = ("float32", "bfloat16")


class Setting(NamedTuple):
    """The type and the rule of one setting.

    `holds` takes a Python number or a tensor: one rule for both.
    """

    dtype: str
    rule: str
    holds: Callable[[Any], Any]


SETTINGS = {
    "max_new_tokens": Setting(
        "int32",
        f"from 0 to {_LARGEST}",
        lambda value: (value >= 0) & (value <= _LARGEST),
    ),
    "temperature": Setting(
        "float32",
        "finite and at least 0",
        lambda value: (value >= 0) & (value < _INFINITY),
    ),
    "top_k": Setting(
        "int32",
        f"from 0 (off) to {_LARGEST}",
        lambda value: (value >= 0) & (value <= _LARGEST),
    ),
    "top_p": Setting(
        "float32",
        "above 0 and at most 1 (off)",
        lambda value: (value > 0) & (value <= 1),
    ),
    "seed": Setting(
        "int32",
        f"from -1 (a fresh one) to {_LARGEST}",
        lambda value: (value >= -1) & (value <= _LARGEST),
    ),
    # What one signature alone takes: settings of a call, never of an export.
    "k": Setting(
        "int32",
        f"from 1 to {_LARGEST}",
        lambda value: (value >= 1) & (value <= _LARGEST),
    ),
    "num_beams": Setting(
        "int32",
        f"from 1 to {MOST_BEAMS}",
        lambda value: (value >= 1) & (value <= MOST_BEAMS),
    ),
    "length_penalty": Setting(
        "float32",
        "finite",
        lambda value: (value > -_INFINITY) & (value < _INFINITY),
    ),
    "batch_size": Setting(
        "int32",
        f"from 0 to {MOST_ROWS}",
        lambda value: (value >= 0) & (value <= MOST_ROWS),
    ),
}

# The settings that every call can give, in order; the others hold for all. A
# step takes those of the draw alone.
STEP_SETTINGS = ("temperature", "top_k", "top_p", "seed")
CALL_SETTINGS = ("max_new_tokens", *STEP_SETTINGS)

_FIXED_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "min_p": ("from 0 (off) to 1", lambda value: 0 <= value <= 1),
    "repetition_penalty": (
        "finite and at least 1 (off)",
        lambda value: 1 <= value < _INFINITY,
    ),
    "no_repeat_ngram": ("from 0 (off) to 100", lambda value: 0 <= value <= 100),
    "banned_tokens": ("strings that are not empty", all),
    "stop": ("strings that are not empty", all),
    "max_new_tokens_limit": (
        f"from 0 to {_LARGEST}",
        lambda value: value is None or 0 <= value <= _LARGEST,
    ),
    "prompt_bytes_limit": (
        f"from 0 to {_LARGEST}",
        lambda value: value is None or 0 <= value <= _LARGEST,
    ),
}


@dataclasses.dataclass(frozen=True)
class GenerationSettings(checked.Checked):
    """How text is generated.

    The first five hold where a call does not say it, the others always: they
    are fixed when a generator is made or a model exported.

    Raises:
        ValueError: If a value breaks its rule.
        TypeError: If a value has the wrong type.

    Example:
    >>> settings = GenerationSettings(temperature=0.5, top_k=40)
    >>> GenerationSettings.from_dict(settings.to_dict()) == settings
    True
    """

    max_new_tokens: int = checked.setting(200, "tokens generated at the most")
    temperature: float = checked.setting(
        1.0, "divides the logits; 0 takes the likeliest token"
    )
    top_k: int = checked.setting(0, "likeliest tokens to draw from; 0: all")
    top_p: float = checked.setting(
        1.0, "probability of the likeliest tokens to draw from; 1: all"
    )
    seed: int = checked.setting(
        -1, "row b of a batch draws with seed + b; -1: fresh ones each time"
    )
    min_p: float = checked.setting(
        0.0, "least probability to draw, as a share of the likeliest's; 0: off"
    )
    repetition_penalty: float = checked.setting(
        1.0, "makes what stands in the text less likely; 1: off"
    )
    no_repeat_ngram: int = checked.setting(
        0, "never repeat as many tokens in a row as this; 0: off"
    )
    banned_tokens: tuple[str, ...] = checked.setting(
        (), "tokens that are never generated"
    )
    stop: tuple[str, ...] = checked.setting(
        (), "strings behind which a text ends"
    )
    max_new_tokens_limit: int | None = checked.setting(
        None, "the most that a call may ask for as max_new_tokens"
    )
    prompt_bytes_limit: int | None = checked.setting(
        None, "the most bytes that a prompt may have"
    )
    on_oov: str = checked.setting(
        "unk", "what of a prompt the vocabulary lacks becomes", ON_UNKNOWN
    )
    precision: str = checked.setting(
        "float32", "arithmetic; bfloat16 is for large batches", PRECISIONS
    )

    def within_limit(self, tokens: int) -> int:
        """So many new tokens, or as many as a call may ask for."""
        most = self.max_new_tokens_limit
        return tokens if most is None else min(tokens, most)

    @property
    def call(self) -> dict[str, Any]:
        """The settings that a call can give in place of these, by name."""
        return {name: getattr(self, name) for name in CALL_SETTINGS}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the settings, in order."""
        return tuple(entry.name for entry in dataclasses.fields(cls))

    def to_dict(self) -> dict[str, Any]:
        """The settings by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GenerationSettings":
        """The settings that `to_dict` gave, also out of JSON.

        Raises:
            ValueError: If a name is not a setting or a value breaks its rule.
            TypeError: If a value has the wrong type.
        """
        for name in values:
            if name not in cls.names():
                raise ValueError(checked.unknown("setting", name, cls.names()))
        return cls(**values)

    def _check_ranges(self) -> None:
        for name in CALL_SETTINGS:
            setting = SETTINGS[name]
            holds = setting.holds(getattr(self, name))
            checked.require(holds, self, name, setting.rule)
        for name, (rule, rule_holds) in _FIXED_RULES.items():
            checked.require(rule_holds(getattr(self, name)), self, name, rule)
        most = self.max_new_tokens_limit
        if most is not None and self.max_new_tokens > most:
            raise ValueError(
                "`max_new_tokens` must be at most `max_new_tokens_limit`. "
                f"Received: max_new_tokens={self.max_new_tokens}, "
                f"max_new_tokens_limit={most}"
            )
