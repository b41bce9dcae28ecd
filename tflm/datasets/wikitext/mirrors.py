"""Where WikiText's archives are, and fetching one."""

import http.client
import ssl
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import (
    NonMatchingChecksumError,
)

from tflm.datasets.wikitext import corpus

_AUTHOR = "https://wikitext.smerity.com"
_HUGGING_FACE = "https://huggingface.co/datasets"

# The names of all WikiTexts, and the addresses of each, the author's first.
MIRRORS = {
    "wikitext-2": (f"{_AUTHOR}/wikitext-2-v1.zip",),
    "wikitext-2-raw": (
        f"{_AUTHOR}/wikitext-2-raw-v1.zip",
        f"{_HUGGING_FACE}/ggml-org/ci/resolve/main/wikitext-2-raw-v1.zip",
    ),
    "wikitext-103": (f"{_AUTHOR}/wikitext-103-v1.zip",),
    "wikitext-103-raw": (
        f"{_AUTHOR}/wikitext-103-raw-v1.zip",
        f"{_HUGGING_FACE}/mattdangerw/wikitext-103-raw/resolve/main/"
        "wikitext-103-raw-v1.zip",
    ),
}

# How long a host may take to answer.
SECONDS = 4.0


def download(name: str, manager: tfds.download.DownloadManager) -> Path:
    """Fetches an archive from the first mirror that gives it.

    Args:
        name: A key of `MIRRORS`.
        manager: Knows the checksums.

    Returns:
        The archive's path.

    Raises:
        ValueError: If no mirror gives it; says what can be done offline.
    """
    failures = []
    for url in MIRRORS[name]:
        host = urlsplit(url).hostname or url
        # TFDS tries again for minutes where a host does not answer.
        if not answers(url):
            failures.append(f"{host} does not answer")
            continue
        print(f"Downloading {url}", file=sys.stderr)
        try:
            return Path(manager.download(url))
        except NonMatchingChecksumError:
            failures.append(f"what {host} gives has a wrong checksum")
        except Exception as error:  # TFDS names no common class of them.
            reason = " ".join(str(error).split())[:100]
            failures.append(f"{host} failed: {type(error).__name__}: {reason}")
    pattern = corpus.file_name(name, "train").replace("train", "*")
    raise ValueError(
        f"`dataset` must be in reach. Received: dataset={name}, but "
        f"{', '.join(failures)}. Without a network, give --data_dir a folder "
        f"that holds {corpus.archive_name(name)} or {name}/{pattern}, or give "
        "--train_file a text of your own"
    )


def answers(url: str) -> bool:
    """Whether an address is in reach, known within `SECONDS`.

    Args:
        url: The address; nothing is downloaded from it.

    Example:
    >>> answers("file:///no/such/file")
    False
    """
    replies: list[bool] = []
    # Looking up a name heeds no time-out, so that a thread may be left to it.
    thread = threading.Thread(
        target=lambda: replies.append(_replies(url)), daemon=True
    )
    thread.start()
    thread.join(SECONDS)
    return replies == [True]


def _replies(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        # What refuses this request may grant TFDS's, but not while broken.
        return error.code < 500
    except urllib.error.URLError as error:
        # TFDS brings certificates of its own.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, http.client.HTTPException):
        return False
