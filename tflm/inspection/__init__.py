"""What a data set and its tokenizer are like, before anything is trained."""

from tflm.inspection.byte_pair_merges import Merge, byte_pair_merges
from tflm.inspection.inventory import Inventory, take_inventory
from tflm.inspection.repetition import Repetition, find_repetition
from tflm.inspection.token_view import TokenView

__all__ = [
    "Inventory",
    "Merge",
    "Repetition",
    "TokenView",
    "byte_pair_merges",
    "find_repetition",
    "take_inventory",
]
