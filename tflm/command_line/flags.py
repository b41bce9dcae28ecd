"""Flags made from the settings: `--seq_len` or `--seq-len`, both are one."""

import argparse
import contextlib
import dataclasses
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tflm import checked, presets
from tflm import config as configuration

USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake in one line.

    Args:
        command: The command's name, such as "train".
        description: What it does, for `--help`.
    """

    def __init__(self, command: str, description: str):
        super().__init__(
            prog=f"tflm {command}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        self.add_argument(
            "--verbose",
            action="store_true",
            help="show the traceback of an error",
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parses arguments; a mistake ends the process with exit code 2."""
        known, rest = self.parse_known_args([_normal(a) for a in arguments])
        if rest:
            flags = [f for f in self._option_string_actions if f[:2] == "--"]
            if rest[0].startswith("-"):
                name = rest[0].split("=", 1)[0]
                self.error(checked.unknown("flag", name, flags))
            self.error(f"unexpected argument {rest[0]!r}")
        return known

    def error(self, message: str) -> NoReturn:
        """Prints one line and ends the process with exit code 2."""
        if message.endswith("expected at least one argument"):
            flag = message.split()[1].rstrip(":")
            message += f": a value that begins with - is given as {flag}=-..."
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see --help)\n")

    def add_settings(
        self,
        group: Any,
        title: str | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        """Adds a flag for each field of a dataclass of settings.

        Args:
            group: The dataclass; its instance's values are the defaults.
            title: Optional heading in `--help`.
            names: Optional names of the fields to add. Default None: all.
        """
        section = self.add_argument_group(title or _title(group))
        hints = typing.get_type_hints(type(group))
        for entry in dataclasses.fields(group):
            if names is not None and entry.name not in names:
                continue
            default = getattr(group, entry.name)
            meaning = entry.metadata["help"].replace("%", "%%")
            if default not in (None, (), False):
                meaning += f" (default: {default})"
            options: dict[str, Any] = {
                "help": meaning,
                "default": argparse.SUPPRESS,
                "dest": entry.name,
            }
            hint = hints[entry.name]
            if hint is bool:
                section.add_argument(
                    f"--{entry.name}", action="store_true", **options
                )
                options["help"] = argparse.SUPPRESS
                section.add_argument(
                    f"--no_{entry.name}", action="store_false", **options
                )
                continue
            if typing.get_origin(hint) is tuple:
                options["nargs"] = "+"
                is_file = entry.name.endswith("_file")
                options["metavar"] = "FILE" if is_file else "TEXT"
            else:
                options["type"] = _parser_of(hint)
                options["metavar"] = options["type"].__name__.upper()
            if entry.metadata["choices"]:
                options["metavar"] = "|".join(entry.metadata["choices"])
            section.add_argument(f"--{entry.name}", **options)

    def check_file(self, name: str, value: str | None) -> None:
        """Ends the process where no file can be written at the value."""
        if value is None:
            return
        path = Path(value).absolute()
        if path.is_dir() or not path.parent.is_dir():
            self.error(
                f"`{name}` must be a file in a folder that exists. "
                f"Received: {name}={value}"
            )

    def check_folder(self, name: str, value: str) -> None:
        """Ends the process where no folder can be made at the value."""
        path = Path(value).absolute()
        there = next(p for p in (path, *path.parents) if p.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            self.error(
                f"`{name}` must be a folder that can be written to. "
                f"Received: {name}={value}"
            )

    def check_model(
        self, model: str | None, name: str, values: Sequence[str]
    ) -> None:
        """Ends the process where a flag has taken the model's directory."""
        last = values[-1] if values else ""
        if model is None and last and _is_model(Path(last)):
            self.error(
                f"`{name}` has taken {last!r}, which is a model: give it "
                f"first, as in {self.prog} {last} --{name} ..."
            )

    def add_recipe(self) -> None:
        """Adds the flags that name many settings at once."""
        self.add_argument(
            "--config", metavar="FILE", help="YAML file of settings; flags win"
        )
        self.add_argument(
            "--preset",
            metavar="|".join(presets.PRESETS),
            help="settings by name; those of --config and flags win "
            "(python -m tflm.presets shows what each gave)",
        )

    def recipe(
        self, parsed: argparse.Namespace
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings of the preset, and those of the file and the flags.

        What cannot be read or is not known ends the process with exit code 2.
        """
        given = chosen(parsed, list(configuration.settings()))
        try:
            read = read_settings(parsed.config) if parsed.config else {}
            named = read.pop("preset", None)
            recipe = presets.settings_of(parsed.preset or named)
        except (ValueError, TypeError, OSError) as error:
            self.error(str(error))
        return recipe, {**read, **given}

    def settings_of(self, kind: Any, parsed: argparse.Namespace) -> Any:
        """The dataclass of settings that the parsed flags make.

        A value out of range ends the process with exit code 2.
        """
        names = [entry.name for entry in dataclasses.fields(kind)]
        try:
            return kind(**chosen(parsed, names))
        except (ValueError, TypeError) as error:
            self.error(str(error))


def chosen(parsed: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The settings among the parsed arguments that were given."""
    return {n: getattr(parsed, n) for n in names if hasattr(parsed, n)}


def read_settings(path: str) -> dict[str, Any]:
    """The settings in a YAML file: names and values, nothing nested.

    Raises:
        ValueError: If the file is not such a mapping.
        OSError: If it cannot be read.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OSError(
            "`config` must be a file that can be read. "
            f"Received: config={path} ({error.strerror})"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = str(error).replace("\n", " ")
        raise ValueError(
            f"`config` must be a YAML file. Received: config={path}: {line}"
        ) from None
    if not isinstance(values, dict):
        raise ValueError(
            "`config` must hold lines like `units: 512`. "
            f"Received: config={path} with {type(values).__name__}"
        )
    return {name: _number(value) for name, value in values.items()}


def _is_model(path: Path) -> bool:
    """Whether it is a run or a SavedModel; without TensorFlow."""
    names = ("config.json", "saved_model.pb", "*/saved_model.pb")
    try:
        return any(any(path.glob(name)) for name in names)
    except OSError:  # a text too long for a name
        return False


def _number(value: Any) -> Any:
    """`1e-3` as a number: to YAML 1.1 it is a string without a dot."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value) if "e" in value.lower() else value
    return value


def _normal(argument: str) -> str:
    """`--seq-len=5` as `--seq_len=5`; values stay as they are."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _title(group: Any) -> str:
    return (type(group).__doc__ or "").split(";")[0].rstrip(".").lower()


def _parser_of(hint: Any) -> type:
    kinds = [k for k in typing.get_args(hint) or (hint,) if k is not type(None)]
    return kinds[0]
