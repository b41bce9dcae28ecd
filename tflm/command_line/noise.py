"""Keeps what TensorFlow says of itself away from users of the commands."""

import logging
import os
import sys
import tempfile
import warnings


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without the lines that its libraries print.

    They come from C++, before any log level holds, so that the process's
    standard error is turned aside meanwhile. It is shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow as tf

            # Devices are looked for at the first operation, aloud.
            tf.constant(0)
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)


def show_own_warnings() -> None:
    """Shows this package's warnings in one line, and no others."""

    def show(message: Warning | str, *unused: object) -> None:
        print(f"warning: {message}", file=sys.stderr)

    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning, module="tflm")
    warnings.showwarning = show  # type: ignore[assignment]
