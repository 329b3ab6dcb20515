import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, Entry, load
from naqsh.io import download
from naqsh.io.download import DownloadError, File, fetch

CONTENT = bytes(i * i % 251 for i in range(200_000))
SIZE = len(CONTENT)


ELSEWHERE = {
    "same-host": "http://127.0.0.1:{}/good/file.bin",
    "loopback": "http://127.0.0.2:{}/good/file.bin",
    "by-name": "http://localhost:{}/good/file.bin",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "private": "http://10.0.0.1/",
    "ipv6": "http://[::1]:{}/good/file.bin",
    "mapped": "http://[::ffff:10.0.0.1]/",
    "round": "/round/file.bin",
    "file": "file:///etc/passwd",
}


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path; the first part of the path says how badly.

    `requests` keeps (path, Range header) of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.sent_all = False

    def url(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{manner}/file.bin"

    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        manner = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        times = sum(path == self.path for path, _ in self.server.requests)
        if manner == "missing":
            return self.send_error(404)
        if manner in ELSEWHERE:
            self.send_response(302)
            self.send_header("Location", ELSEWHERE[manner].format(self.server.server_address[1]))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if manner == "endless":  # and says no length
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(CONTENT)
                self.server.sent_all = True
            self.close_connection = True
            return None
        if manner == "unasked":
            self.send_response(206)
            self.send_header("Content-Length", "100")
            self.send_header("Content-Range", f"bytes 100-199/{len(CONTENT)}")
            self.end_headers()
            self.wfile.write(CONTENT[100:200])
            return None
        if manner == "busy" and times <= 2:
            return self.send_error(503)
        content = CONTENT[::-1] if manner == "wrong" else CONTENT
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if manner == "no-ranges":
            start, asked = 0, None
        if asked and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if manner == "shifted" and asked and times == 1:
            start += 7
        body = content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if manner == "packed":  # as servers that take .gz for an encoding say
            self.send_header("Content-Encoding", "gzip")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if manner in ("cut", "no-ranges") and times <= 2:
            body = body[: len(body) // 2]
        elif manner == "stuck" and len(body) > len(content) // 2:
            body = body[: len(content) // 2]
        elif manner == "stuck":
            body = b""
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_WAIT", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/file.bin"


def published(*urls: str) -> File:
    return File("file.bin", urls, "sha256:" + hashlib.sha256(CONTENT).hexdigest(), SIZE)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".file.bin.lock"}


@pytest.mark.parametrize("manner", ["good", "packed", "busy"])
def test_a_file_arrives_whole(server, tmp_path, manner):
    path = fetch(published(server.url(manner)), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert left_in(path.parent) == {"file.bin"}


def test_a_cut_connection_is_resumed(server, tmp_path):
    path = fetch(published(server.url("cut")), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_process_resumes(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:123_456])
    path = fetch(published(server.url("good")), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges() == ["bytes=123456-"]
    assert left_in(tmp_path) == {"file.bin"}


def test_a_server_that_gets_stuck_leaves_what_it_sent(server, tmp_path):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 broke off"):
        fetch(published(server.url("stuck")), tmp_path)
    assert left_in(tmp_path) == {"file.bin.part"}
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:100_000]
    fetch(published(server.url("good")), tmp_path)
    assert server.ranges()[-1] == "bytes=100000-"


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    assert fetch(published(server.url("no-ranges")), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(published(server.url("good")), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_too_long(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(published(server.url("good")), tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    assert fetch(published(server.url("good")), tmp_path).read_bytes() == CONTENT
    assert server.ranges() == ["bytes=1000-", None]


def test_another_part_than_asked_for(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(published(server.url("shifted")), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("first", ["missing", "wrong", "stuck", "nobody"])
def test_the_next_mirror_helps(server, nobody, tmp_path, first):
    bad = nobody if first == "nobody" else server.url(first)
    path = fetch(published(bad, server.url("good")), tmp_path)
    assert path.read_bytes() == CONTENT
    if first == "stuck":  # and goes on where the first stopped
        assert server.ranges()[-1] == "bytes=100000-"


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 sent other bytes than the published"):
        fetch(published(server.url("wrong")), tmp_path)
    assert left_in(tmp_path) == set()


def test_a_server_that_sends_without_end_is_left(server, tmp_path):
    with pytest.raises(DownloadError, match="sends more than the 200,000 bytes"):
        fetch(published(server.url("endless")), tmp_path)
    assert left_in(tmp_path) == set()
    assert not server.sent_all


def test_a_server_that_announces_too_much_is_left_at_once(server, tmp_path):
    file = File("file.bin", (server.url("good"),), "md5:0", SIZE - 1)
    with pytest.raises(DownloadError, match="sends more than the 199,999 bytes"):
        fetch(file, tmp_path)
    assert left_in(tmp_path) == set()


def test_a_part_that_nobody_asked_for(server, tmp_path):
    with pytest.raises(DownloadError, match="sent another part than asked for"):
        fetch(published(server.url("unasked")), tmp_path)
    assert fetch(published(server.url("good")), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("manner", sorted(set(ELSEWHERE) - {"same-host", "round", "file"}))
def test_a_redirect_into_this_network_is_refused(server, tmp_path, manner):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 sends on to an address of this network"):
        fetch(published(server.url(manner)), tmp_path)
    assert len(server.requests) == 1


def test_other_redirects(server, tmp_path, monkeypatch):
    assert fetch(published(server.url("same-host")), tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="TooManyRedirects"):
        fetch(published(server.url("round")), tmp_path / "b")
    with pytest.raises(DownloadError, match="of this network"):
        fetch(published(server.url("file")), tmp_path / "c")
    open_address = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 0))]
    monkeypatch.setattr(download.socket, "getaddrinfo", lambda *_: open_address)
    assert download._public("example.com")


def test_a_redirect_from_tls_to_none_is_refused():
    from requests import Response

    answer = Response()
    answer.status_code, answer.url = 302, "https://example.com/file"
    answer.headers["location"] = "http://example.com/file"
    with pytest.raises(download._Gone, match="without TLS"):
        download._Transfer(answer.url, None, 9)._look_at_redirect(answer)
    answer.headers["location"] = "/other"
    download._Transfer(answer.url, None, 9)._look_at_redirect(answer)


KILLED = """
import sys
from pathlib import Path
from naqsh.io.download import File, fetch
print("begun", flush=True)
fetch(File("file.bin", (sys.argv[1],), "md5:0", 10**9), Path(sys.argv[2]))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_kill_leaves_the_part_alone(server, tmp_path):
    words = [sys.executable, "-c", KILLED, server.url("endless"), str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while not (tmp_path / "file.bin.part").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert left_in(tmp_path) == {"file.bin.part"}


def test_every_reason_is_told(server, nobody, tmp_path):
    with pytest.raises(DownloadError) as told:
        fetch(published(server.url("missing"), nobody, server.url("wrong")), tmp_path)
    assert "answers 404" in str(told.value)
    assert "no connection to" in str(told.value)
    assert "other bytes" in str(told.value)


def test_two_at_once_fetch_once(server, tmp_path):
    results: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(
                fetch(published(server.url("good")), tmp_path).read_bytes()
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 4
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot write to"):
        fetch(published(server.url("good")), tmp_path / "file" / "folder")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    mnist = CATALOG["mnist"]
    files = tuple(File(file.name, (nobody,), file.checksum, file.size) for file in mnist.files)
    offline = Entry(**{**vars(mnist), "files": files})
    monkeypatch.setitem(CATALOG, "mnist", offline)


@pytest.mark.usefixtures("offline")
def test_offline_one_line_says_what_to_do(tmp_path):
    with pytest.raises(NaqshError) as told:
        load("mnist", home=tmp_path / "home")
    line = str(told.value)
    assert "\n" not in line
    assert "'mnist' needs train-images-idx3-ubyte.gz (no connection to 127.0.0.1)" in line
    assert str(tmp_path / "home" / "mnist") in line
    assert "--data digits, which needs no download" in line


def test_download_off_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda *_: pytest.fail("asked"))
    with pytest.raises(NaqshError, match="downloading is off"):
        load("mnist", home=tmp_path, download=False)


def test_a_named_set_is_downloaded_once(server, tmp_path, monkeypatch):
    import gzip

    import numpy as np
    from data_files import idx_bytes

    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    packed = {
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx_bytes(images)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(idx_bytes(np.arange(6, dtype=np.uint8))),
    }
    served: list[str] = []

    def answer(self: Handler) -> None:
        name = self.path.rpartition("/")[2]
        served.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(packed[name])))
        self.end_headers()
        self.wfile.write(packed[name])

    monkeypatch.setattr(Handler, "do_GET", answer)
    base = server.url("x").rpartition("/")[0]
    files = tuple(
        File(name, (f"{base}/{name}",), "sha256:" + hashlib.sha256(content).hexdigest(), 10**6)
        for name, content in packed.items()
    )
    small = Entry(**{**vars(CATALOG["mnist"]), "test": 6, "files": files})
    monkeypatch.setitem(CATALOG, "mnist", small)
    for _ in range(2):
        mnist = load("mnist", split="test", home=tmp_path)
        assert np.array_equal(mnist.images[:, 0], images)
    assert sorted(served) == sorted(packed)
    assert (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").is_file()


def zip_of(files: dict[str, bytes]) -> bytes:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def serve(server, monkeypatch, tmp_path):
    """Puts an archive on the server, as that of a set of two domains; gives what was asked for."""
    monkeypatch.delenv("NAQSH_DATA_HOME", raising=False)
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []

    def put(content: bytes, checksum: str | None = None, size: int | None = None) -> list[str]:
        def answer(self: Handler) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        monkeypatch.setattr(Handler, "do_GET", answer)
        url = server.url("x").replace("file.bin", "horse2zebra.zip")
        checksum = checksum or hashlib.sha256(content).hexdigest()
        file = File("horse2zebra.zip", (url,), f"sha256:{checksum}", size or len(content))
        entry = CATALOG["horse2zebra"]
        few = {"train": 2, "test": 2, "second": (3, 2), "shape": (3, 9, 9), "files": (file,)}
        monkeypatch.setitem(CATALOG, "horse2zebra", Entry(**{**vars(entry), **few}))
        return asked

    return put


def jpegs(counts: dict[str, int]) -> dict[str, bytes]:
    import io

    import numpy as np
    from PIL import Image

    files = {}
    for part, count in counts.items():
        for number in range(count):
            out = io.BytesIO()
            seed = sum(part.encode()) + number
            pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(out, "JPEG")
            files[f"horse2zebra/{part}/{number}_{part}.jpg"] = out.getvalue()
    return files


WHOLE = {"trainA": 2, "trainB": 3, "testA": 2, "testB": 2}


def test_a_set_of_two_domains_is_downloaded_and_unpacked_once(serve, tmp_path):
    asked = serve(zip_of({"horse2zebra/": b"", "readme.txt": b"x", **jpegs(WHOLE)}))
    for split, counts in {"train": (2, 3), "test": (2, 2)}.items():
        for _ in range(2):
            found = load("horse2zebra", split=split, home=tmp_path)
            assert (len(found), len(found.second)) == counts
            assert (found.name, found.domains) == ("horse2zebra", ("horse", "zebra"))
    assert len(asked) == 1
    place = tmp_path / "horse2zebra/horse2zebra"
    assert sorted(p.name for p in place.iterdir()) == ["testA", "testB", "trainA", "trainB"]
    assert len(list(place.rglob("*.jpg"))) == 9
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("files", "how", "complaint"),
    [
        (jpegs(WHOLE), {"checksum": "0" * 64}, "sent other bytes than the published ones"),
        (jpegs(WHOLE), {"size": 900}, "sends more than the 900 bytes"),
        ({"../trainA/0.jpg": b"x", **jpegs(WHOLE)}, {}, "refused"),
        (jpegs({"trainA": 2, "trainB": 2}), {}, "no archive of horse2zebra: it has 2 images in tr"),
        ({"horse2zebra/trainA/0.jpg": bytes(10**5)}, {"size": 40_000}, "more than"),
    ],
)
def test_an_archive_of_two_domains_that_is_not_it(serve, tmp_path, files, how, complaint):
    serve(zip_of(files), **how)
    with pytest.raises(NaqshError, match=complaint) as told:
        load("horse2zebra", home=tmp_path)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.rglob("*.jpg"))
    assert not (tmp_path / "horse2zebra/horse2zebra").exists()
