"""`tflm <command>`, and what happens around every command."""

import importlib
import sys
import traceback
from collections.abc import Callable, Sequence

from tflm import __version__, checked
from tflm.command_line import noise, process
from tflm.command_line.flags import USAGE_ERROR
from tflm.command_line.process import INTERRUPTED

FAILURE = 1

COMMANDS = {
    "inspect": "show what a text holds and how it is cut into tokens",
    "train": "train a model on text",
    "evaluate": "score a model on held-out text or on a file",
    "compare": "rank runs by their score on the same text",
    "generate": "write text with a model",
    "score": "tell how likely any text is, token by token if need be",
    "export": "write a model as a SavedModel for TensorFlow Serving",
}


def main() -> None:
    """The console script: `tflm <command> ...`."""
    process.prepare()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: tflm <command> [flags]\n")
        for name, meaning in COMMANDS.items():
            print(f"  {name:<10} {meaning}")
        print("\n`tflm <command> --help` lists the flags of a command.")
        sys.exit(0 if arguments else USAGE_ERROR)
    if arguments[0] == "--version":
        print(__version__)
        sys.exit(0)
    if arguments[0] not in COMMANDS:
        message = checked.unknown("command", arguments[0], COMMANDS)
        print(f"tflm: {message}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    command = importlib.import_module(f"tflm.{arguments[0]}")
    run(command.main, arguments[1:])


def run(
    command: Callable[[Sequence[str]], int | None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Runs a command and ends the process with its exit code.

    An error of any kind becomes one line on standard error; `--verbose` shows
    its traceback too.

    Args:
        command: Takes the arguments, returns an exit code or None for 0.
        arguments: Default None: those of the process, which is made ready.
    """
    if arguments is None:
        process.prepare()
        arguments = sys.argv[1:]
    try:
        code = command(arguments) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        # Who reads the output has gone, as `head` does.
        sys.stderr.close()
        code = FAILURE
    except Exception as error:
        if "--verbose" in arguments:
            traceback.print_exc()
        print(f"error: {_one_line(error)}", file=sys.stderr)
        code = FAILURE
    sys.exit(code)


def start(prepare: Callable[[], None] | None = None) -> None:
    """Makes TensorFlow ready; a command calls it once its flags are good.

    Args:
        prepare: See `noise.import_tensorflow_quietly`.
    """
    noise.import_tensorflow_quietly(prepare)
    noise.show_own_warnings()


def _one_line(error: Exception) -> str:
    text = " ".join(str(getattr(error, "message", error)).split())
    # Of an error inside a graph only what was wrong, not where.
    text = text.partition(" [[{{node")[0]
    _, asserts, said = text.partition("assertion failed: ")
    if asserts:  # each value stands in brackets
        said = said.removeprefix("[").removesuffix("]")
        return said.replace("=] [", "=").replace("] [", " ")
    kind = type(error).__name__
    if kind == "ResourceExhaustedError":
        return (
            f"there is not enough memory: {text}. A smaller --batch_size, "
            "--seq_len, --units or --num_layers needs less"
        )
    if isinstance(error, (ValueError, TypeError, OSError, ArithmeticError)):
        return text or kind
    return f"{kind}: {text}"
