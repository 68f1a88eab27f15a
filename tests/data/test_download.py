from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.killing.waiting import LONGEST
from lit_lossopt.data.download import DownloadError, download
from tests.support.places import ROOT, TESTS

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
STALL = 0.4


@dataclass
class Server:
    address: str
    log: Path

    def url(self, behaviour: str) -> str:
        return f"{self.address}/{behaviour}/f"

    def requests(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[Server]:
    file, log = folder / "served", folder / "requests"
    file.write_bytes(CONTENT)
    script = TESTS / "support" / "misbehaving_file_server.py"
    command = [sys.executable, str(script), str(file), str(log), *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            scheme = "https" if certificate else "http"
            yield Server(f"{scheme}://127.0.0.1:{int(process.stdout.readline())}", log)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.log.unlink(missing_ok=True)
    return running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file.tar.gz"


def fetch(target: Path, *urls: str) -> None:
    download(urls, target, SHA256, len(CONTENT), stall=STALL)


def part(target: Path, content: bytes | None = None) -> Path:
    path = target.with_name(f"{target.name}.part")
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return path


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name, f"{target.name}.lock"]


def test_a_file_is_fetched_once(server: Server, target: Path) -> None:
    fetch(target, server.url("good"), server.url("missing"))
    fetch(target, server.url("good"))
    assert_whole(target)
    assert server.requests() == ["/good/f"]


MISBEHAVIOURS = "silent stalls trickles never_more alters too_much announces_more babble to_plain_http to_a_file"


@pytest.mark.parametrize("behaviour", [*MISBEHAVIOURS.split(), "in_circles", "missing", "broken"])
def test_a_mirror_that_misbehaves_is_left_for_the_next(server: Server, target: Path, behaviour: str) -> None:
    fetch(target, server.url(behaviour), server.url("good"))
    assert_whole(target)
    assert server.requests()[0] == f"/{behaviour}/f"
    assert server.requests()[-1].split()[0] == "/good/f"


@pytest.mark.parametrize(
    ("behaviour", "reason", "held"),
    [
        ("silent", "sends nothing for 0.4 s", None),
        ("stalls", "sends nothing for 0.4 s", 150_000),
        ("trickles", "sends less than 1024 bytes a second", None),
        ("alters", "has another content", None),
        ("too_much", "sends more than the file's 300,000 bytes", None),
        ("announces_more", "has 300,004 bytes in place of 300,000", None),
        ("to_plain_http", "redirects to http://mirror.invalid, which is not https", None),
        ("to_a_file", "302 Found - Redirection to url .file:///etc/hostname. is not allowed", None),
        ("missing", "404 Not Found", None),
        ("broken", "500 Internal Server Error", None),
        ("never_more", "breaks off after 0 of 300,000 bytes", 0),
    ],
)
def test_what_a_mirror_did_is_said(server: Server, target: Path, behaviour: str, reason: str, held: int | None) -> None:
    with pytest.raises(DownloadError, match=f"^http://127.0.0.1: {reason}") as raised:
        fetch(target, server.url(behaviour))
    assert "\n" not in str(raised.value)
    assert not target.exists()
    if held is not None:
        assert part(target).stat().st_size == held
    elif behaviour != "trickles":
        assert not part(target).exists()


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(server: Server, target: Path) -> None:
    fetch(target, server.url("truncates"))
    assert_whole(target)
    assert server.requests() == ["/truncates/f", "/truncates/f bytes=100000-", "/truncates/f bytes=200000-"]


def test_the_next_mirror_goes_on_where_the_last_one_stalled(server: Server, target: Path) -> None:
    fetch(target, server.url("stalls"), server.url("good"))
    assert server.requests() == ["/stalls/f", "/good/f bytes=150000-"]


def test_altered_bytes_are_not_continued(server: Server, target: Path) -> None:
    fetch(target, server.url("alters"), server.url("good"))
    assert server.requests() == ["/alters/f", "/good/f"]


def test_a_good_mirror_is_asked_again_when_the_bytes_before_were_bad(server: Server, target: Path) -> None:
    part(target, b"x" * 1000)
    fetch(target, server.url("good"))
    assert_whole(target)
    assert server.requests() == ["/good/f bytes=1000-", "/good/f"]


@pytest.mark.parametrize(("behaviour", "requests"), [("no_range", 1), ("wrong_range", 2), ("no_such_range", 2)])
def test_without_ranges_it_starts_over(server: Server, target: Path, behaviour: str, requests: int) -> None:
    part(target, CONTENT[:1000])
    fetch(target, server.url(behaviour))
    assert_whole(target)
    asked = [f"/{behaviour}/f bytes=1000-", f"/{behaviour}/f"]
    assert server.requests() == asked[:requests]


@pytest.mark.parametrize("held", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_complete_or_too_long(server: Server, target: Path, held: bytes) -> None:
    part(target, held)
    fetch(target, server.url("good"))
    assert_whole(target)
    assert len(server.requests()) == (0 if held == CONTENT else 2)


def test_redirects_are_followed_on_this_machine(server: Server, target: Path) -> None:
    fetch(target, server.url("redirects"))
    assert_whole(target)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://mirror.invalid/f", "http://mirror.invalid: only https addresses are used"),
        ("http://127.0.0.1.mirror.invalid/f", "only https addresses are used"),
        ("ftp://mirror.invalid/f", "only https addresses are used"),
        ("file:///etc/hostname", "only https addresses are used"),
        ("mirror.invalid/f", "only https addresses are used"),
        ("https://[mirror/f", "only https addresses are used"),
        ("https://me:secret@mirror.invalid/f", "mirror.invalid: an address must not contain a user name"),
    ],
)
def test_addresses_that_are_not_used(target: Path, url: str, message: str) -> None:
    with pytest.raises(DownloadError, match=message) as raised:
        fetch(target, url)
    assert "secret" not in str(raised.value)
    assert not target.parent.exists()


def test_offline_is_one_reason_for_all_mirrors(target: Path) -> None:
    with pytest.raises(DownloadError, match=r"^http://127.0.0.1, http://localhost: Connection refused$"):
        fetch(target, "http://127.0.0.1:1/f", "http://localhost:1/f")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_named_with_path_and_bytes(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part(target).symlink_to("/dev/full")
    with pytest.raises(
        DownloadError, match=r"cannot write .*file.tar.gz.part \(No space left on device\); 0 of 300,000"
    ):
        fetch(target, server.url("good"), server.url("good"))
    assert server.requests() == ["/good/f"]


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DownloadError, match=r"cannot write .*data"):
        fetch(tmp_path / "data" / "file.tar.gz", server.url("good"))
    assert server.requests() == []


FETCH = (
    "import sys; from pathlib import Path; from lit_lossopt.data.download import download; "
    "download([sys.argv[1]], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))"
)


def fetching(server: Server, target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, server.url("slow"), str(target), SHA256, str(len(CONTENT))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_four_processes_at_once_make_one_transfer(server: Server, target: Path) -> None:
    processes = [fetching(server, target) for _ in range(4)]
    said = [process.communicate(timeout=LONGEST)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert_whole(target)
    assert server.requests() == ["/slow/f"]
    assert sum("waiting for another process" in text for text in said) >= 1


def test_killed_while_it_fetches_and_resumed(server: Server, target: Path) -> None:
    with fetching(server, target) as process:
        while not part(target).exists() or part(target).stat().st_size < 50_000:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    held = part(target).stat().st_size
    assert 50_000 <= held < len(CONTENT)
    assert not target.exists()
    fetch(target, server.url("good"))
    assert_whole(target)
    assert server.requests() == ["/slow/f", f"/good/f bytes={held}-"]


def own_certificate(path: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that only itself vouches for."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_https_is_verified(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = own_certificate(tmp_path / "certificate.pem")
    with serving(tmp_path, certificate) as server:
        with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(target, server.url("good"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        fetch(target, server.url("redirects"))
        assert_whole(target)
        target.unlink()
        with pytest.raises(DownloadError, match=r"redirects to http://mirror.invalid, which is not https"):
            fetch(target, server.url("to_plain_http"))
