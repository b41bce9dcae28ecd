"""Checks that a wheel holds each file of the package, and nothing else.

check_wheel.py WHEEL TREE
"""

import sys
import zipfile
from pathlib import Path


def main() -> None:
    """Compares the names."""
    wheel, tree = map(Path, sys.argv[1:])
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    files = {
        path.relative_to(tree).as_posix()
        for path in (tree / "tflm").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    if packed != files:
        raise SystemExit(
            f"{wheel.name} lacks {sorted(files - packed)} "
            f"and has too much: {sorted(packed - files)}"
        )
    print(f"{wheel.name}: {len(files)} files")


if __name__ == "__main__":
    main()
