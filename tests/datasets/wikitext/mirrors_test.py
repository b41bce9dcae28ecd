"""Mirrors on this machine: files, and servers that behave badly."""

import contextlib
import hashlib
import http.server
import socket
import threading
import time
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from tflm.datasets.wikitext import mirrors, wikitext_dataset_builder

CHECKSUMS = Path(mirrors.__file__).with_name("checksums.tsv")
OFFLINE = (
    ". Without a network, give --data_dir a folder that holds "
    "wikitext-2-v1.zip or wikitext-2/wiki.*.tokens, or give --train_file a "
    "text of your own"
)


@pytest.fixture
def fetch(tmp_path, monkeypatch, write_archive):
    """Downloads WikiText-2 from some addresses with TFDS's own manager."""
    tfds.disable_progress_bar()
    monkeypatch.setattr(mirrors, "SECONDS", 1.0)
    archive = write_archive(tmp_path / "right.zip").read_bytes()

    def fetch(*urls):
        monkeypatch.setitem(mirrors.MIRRORS, "wikitext-2", urls)
        info = tfds.download.checksums.UrlInfo(
            len(archive), hashlib.sha256(archive).hexdigest(), None
        )
        manager = tfds.download.DownloadManager(
            download_dir=tmp_path / "downloads",
            url_infos=dict.fromkeys(urls, info),
        )
        return mirrors.download("wikitext-2", manager)

    return fetch


@pytest.fixture
def right(tmp_path, fetch):
    return (tmp_path / "right.zip").as_uri()


@pytest.fixture
def wrong(tmp_path, fetch):
    (tmp_path / "wrong.zip").write_bytes(b"wrong")
    return (tmp_path / "wrong.zip").as_uri()


@pytest.fixture
def missing(tmp_path, fetch):
    return (tmp_path / "missing.zip").as_uri()


@contextlib.contextmanager
def server(status, content=b"", head_status=405):
    """The address of a server with one file, and what it is asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):  # noqa: N802
            asked.append(self.command)
            self.send_response(status if self.command == "GET" else head_status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self):  # noqa: N802
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *unused):
            """Says nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}/a.zip", asked
        finally:
            found.shutdown()
            thread.join()


def test_first_mirror_that_answers_is_taken(
    fetch, right, missing, tmp_path, capsys
):
    content = (tmp_path / "right.zip").read_bytes()
    assert fetch(missing, right).read_bytes() == content
    assert capsys.readouterr().err == f"Downloading {right}\n"
    # It is the first that is asked, and no other.
    assert fetch(right, missing).read_bytes() == content


def test_mirror_with_another_content_is_left(fetch, right, wrong, tmp_path):
    content = (tmp_path / "right.zip").read_bytes()
    assert fetch(wrong, right).read_bytes() == content


def test_mirror_that_refuses_the_question_may_give_the_file(fetch, tmp_path):
    content = (tmp_path / "right.zip").read_bytes()
    with server(200, content) as (url, asked):
        assert fetch(url).read_bytes() == content
        assert asked == ["HEAD", "GET"]


def test_mirrors_that_fail_are_named_in_one_line(fetch, right, wrong, missing):
    with server(404) as (url, asked):
        with pytest.raises(ValueError) as caught:
            fetch(missing, wrong, url)
        assert asked == ["HEAD", "GET"]
    assert str(caught.value) == (
        f"`dataset` must be in reach. Received: dataset=wikitext-2, but "
        f"{missing} does not answer, what {wrong} gives has a wrong checksum, "
        "127.0.0.1 failed: DownloadError: Failed to get url "
        f"{url}. HTTP code: 404." + OFFLINE
    )


def test_broken_server_is_not_asked_again(fetch):
    with server(503, head_status=503) as (url, asked):
        with pytest.raises(ValueError, match="127.0.0.1 does not answer"):
            fetch(url)
        assert asked == ["HEAD"]


def test_silent_and_closed_hosts_cost_little_time(fetch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            closed_port = closed.getsockname()[1]
        urls = [
            f"http://127.0.0.1:{port}/a.zip"
            for port in (silent.getsockname()[1], closed_port)
        ]
        start = time.monotonic()
        with pytest.raises(ValueError) as caught:
            fetch(*urls)
        assert time.monotonic() - start < 2
    assert str(caught.value) == (
        "`dataset` must be in reach. Received: dataset=wikitext-2, but "
        "127.0.0.1 does not answer, 127.0.0.1 does not answer" + OFFLINE
    )


def test_slow_name_server_costs_little_time(fetch, monkeypatch):
    released = threading.Event()

    def look_up(*unused, **settings):
        released.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    start = time.monotonic()
    assert not mirrors.answers("http://slow.invalid/a.zip")
    assert time.monotonic() - start < 2
    released.set()


def test_all_mirrors_together_take_less_than_fifteen_seconds():
    most = max(len(urls) for urls in mirrors.MIRRORS.values())
    assert most * mirrors.SECONDS < 10  # which leaves time to start


def test_every_mirror_has_a_checksum():
    infos = tfds.download.checksums.load_url_infos(CHECKSUMS)
    urls = {url for found in mirrors.MIRRORS.values() for url in found}
    assert set(infos) == urls
    assert wikitext_dataset_builder.Builder.url_infos == infos
    for name, found in mirrors.MIRRORS.items():
        assert found[0].startswith("https://wikitext.smerity.com/")
        assert all(url.endswith(f"/{name}-v1.zip") for url in found)
        # All mirrors of one archive have one content.
        assert len({infos[url].checksum for url in found}) == 1
        assert len(infos[found[0]].checksum) == 64
    assert len({info.checksum for info in infos.values()}) == 4
