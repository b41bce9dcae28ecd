"""What an operator needs of an export, and the proof that it is right."""

from tflm.serving.operator_files import write_operator_files
from tflm.serving.proof import REPORT_FILE, prove
from tflm.serving.warm_up import WARM_UP_FILE, write_warm_up

__all__ = [
    "REPORT_FILE",
    "WARM_UP_FILE",
    "prove",
    "write_operator_files",
    "write_warm_up",
]
