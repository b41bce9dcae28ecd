"""Keeps what TensorFlow says of itself away from users of the commands."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator


def import_tensorflow_quietly(
    prepare: Callable[[], None] | None = None,
) -> None:
    """Imports TensorFlow without the lines that its libraries print.

    Args:
        prepare: Optional, called before TensorFlow computes anything, while
            its threads can still be set.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with _standard_error_aside():
        import tensorflow as tf
    if prepare is not None:
        prepare()
    with _standard_error_aside():
        # Devices are looked for at the first operation, aloud.
        tf.constant(0)
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)


@contextlib.contextmanager
def _standard_error_aside() -> Iterator[None]:
    """Shows what is written to standard error only if there is an error.

    The lines come from C++, before any log level holds: the process's standard
    error itself is turned aside.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:  # not Ctrl-C
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def show_own_warnings() -> None:
    """Shows this package's warnings in one line, and no others."""

    def show(message: Warning | str, *unused: object) -> None:
        print(f"warning: {message}", file=sys.stderr)

    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning, module="tflm")
    warnings.showwarning = show  # type: ignore[assignment]
