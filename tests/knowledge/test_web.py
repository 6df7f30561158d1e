"""Documents of the web: fetched from a server of the test, and never from inside."""

from __future__ import annotations

import gzip
import ipaddress
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.services import create_token
from knowledge import errors, web
from knowledge.models import Document

PAGE = "<html><head><title>Vanor</title></head><body><p>Räksmörgås är gott.</p></body></html>"


class Site(ThreadingHTTPServer):
    """Answers: path → (status, headers, body); seen: (path, host) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[tuple[str, str]] = []
        self.released = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Host"]))
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/slow":
            self.wfile.flush()
            self.server.released.wait(30)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.COACH_URL_INGEST, settings.OFFLINE, settings.COACH_URL_HOSTS = True, False, []


def rules(site: Site, **values: Any) -> web.Rules:
    """example.org is the server of the test, and its address passes for one of the internet."""
    known = {"example.org": ["127.0.0.1"], "inside.example.org": ["10.0.0.7"]}
    return web.Rules(
        resolve=lambda host, port: known.get(host, []),
        is_public=lambda address: str(address) == "127.0.0.1",
        ports=frozenset((80, 443, site.server_port)),
        **values,
    )


def address(site: Site, path: str, host: str = "example.org") -> str:
    return f"http://{host}:{site.server_port}{path}"


def html(body: str = PAGE, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "text/html; charset=utf-8", **headers}, body.encode()


def test_a_page_is_fetched_under_the_name_of_its_host(site: Site) -> None:
    site.answers["/om/vanor?x=1"] = html()
    found = web.fetch(address(site, "/om/vanor?x=1#del"), rules(site))
    assert (found.filename, found.content.decode()) == ("vanor.html", PAGE)
    assert site.seen == [("/om/vanor?x=1", f"example.org:{site.server_port}")]


@pytest.mark.parametrize(
    ("path", "kind", "filename"),
    [
        ("/", "text/html", "example.org.html"),
        ("/a.pdf", "application/pdf", "a.pdf"),
        ("/a.pdf", "application/octet-stream", "a.pdf"),
        ("/r%C3%A4k.md", "text/plain; charset=utf-8", "räk.md"),
        ("/a.php", "text/html", "a.php.html"),
        ("/v1.2", "text/plain", "v1.2.txt"),
        ("/a.vtt", "text/vtt", "a.vtt"),
    ],
)
def test_the_type_decides_the_loader(site: Site, path: str, kind: str, filename: str) -> None:
    site.answers[path] = (200, {"Content-Type": kind}, b"content")
    assert web.fetch(address(site, path), rules(site)).filename == filename


def test_the_encoding_of_the_header_is_kept(site: Site) -> None:
    site.answers["/a.txt"] = (200, {"Content-Type": "text/plain; charset=iso-8859-2"}, "Žluť".encode("iso-8859-2"))
    assert web.fetch(address(site, "/a.txt"), rules(site)).content == "Žluť".encode("utf-8-sig")


def test_packed_pages_are_unpacked(site: Site, settings: Any) -> None:
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    site.answers["/a"] = (200, headers, gzip.compress(PAGE.encode()))
    assert web.fetch(address(site, "/a"), rules(site)).content.decode() == PAGE
    site.answers["/cut"] = (200, headers, gzip.compress(PAGE.encode())[:-20])
    with pytest.raises(errors.AddressFailed):
        web.fetch(address(site, "/cut"), rules(site))
    settings.DOCUMENT_MAX_BYTES = 10_000
    site.answers["/bomb"] = (200, headers, gzip.compress(b"0" * 10_000_000))
    with pytest.raises(errors.Refused) as refused:
        web.fetch(address(site, "/bomb"), rules(site))
    assert refused.value.code == "too_large"


def test_what_is_too_large_is_not_read_to_its_end(site: Site, settings: Any) -> None:
    settings.DOCUMENT_MAX_BYTES = 100
    site.answers["/a"] = html("<p>" + "x" * 200)
    with pytest.raises(errors.Refused) as refused:
        web.fetch(address(site, "/a"), rules(site))
    assert refused.value.code == "too_large"


def test_an_unknown_type_is_refused(site: Site) -> None:
    site.answers["/a.exe"] = (200, {"Content-Type": "application/octet-stream"}, b"MZ")
    site.answers["/a.png"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    for path in ("/a.exe", "/a.png"):
        with pytest.raises(errors.Refused) as refused:
            web.fetch(address(site, path), rules(site))
        assert refused.value.code == "wrong_type"


def test_a_server_that_stops_in_the_middle_is_given_up(site: Site) -> None:
    site.answers["/slow"] = html(**{"Content-Length": "100000"})
    with pytest.raises(errors.AddressFailed):
        web.fetch(address(site, "/slow"), rules(site, seconds=0.3))


@pytest.mark.parametrize("status", [404, 500, 204, 206])
def test_other_answers_are_no_document(site: Site, status: int) -> None:
    site.answers["/a"] = (status, {"Content-Type": "text/html"}, b"")
    with pytest.raises(errors.AddressFailed):
        web.fetch(address(site, "/a"), rules(site))


# --- redirects -----------------------------------------------------------------------------------


def redirect(where: str) -> tuple[int, dict[str, str], bytes]:
    return 302, {"Location": where}, b""


def test_redirects_are_followed_three_times(site: Site) -> None:
    for number in range(1, 5):
        site.answers[f"/{number}"] = redirect(str(number - 1))
    site.answers["/0"] = html()
    assert web.fetch(address(site, "/3"), rules(site)).content.decode() == PAGE
    with pytest.raises(errors.AddressFailed):
        web.fetch(address(site, "/4"), rules(site))


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.2/",
        "http://169.254.169.254/latest/meta-data/",
        "http://inside.example.org/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://example.org:22/",
        "http://[::1]/",
    ],
)
def test_a_redirect_to_the_inside_is_refused(site: Site, where: str) -> None:
    site.answers["/a"] = redirect(where)
    with pytest.raises(errors.AddressRefused):
        web.fetch(address(site, "/a"), rules(site))
    assert len(site.seen) == 1


# --- never from inside ---------------------------------------------------------------------------


def no_resolver(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} must not even be looked up")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://①②⑦.⓪.⓪.①/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://192.0.2.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fc00::1]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "https://user:password@example.org/",
        "http://example.org:8080/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http:///x",
        "http://exa mple.org/",
        "http://example.org/\r\nX: y",
        "http://exam_ple.org/",
        "http://[::1/",
        "nonsense",
        "http://example.org/" + "x" * 2000,
    ],
)
def test_addresses_that_are_never_asked(url: str) -> None:
    with pytest.raises(errors.AddressRefused):
        web.fetch(url, web.Rules(resolve=no_resolver))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:192.168.0.1"],
        ["93.184.215.14", "127.0.0.1"],
    ],
)
def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    with pytest.raises(errors.AddressRefused):
        web.fetch("http://localhost.example.org/", web.Rules(resolve=lambda host, port: addresses))


def test_public_addresses() -> None:
    for text in ("93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14"):
        assert web.is_public(ipaddress.ip_address(text))


def test_a_name_is_looked_up_once_and_that_address_is_asked(site: Site) -> None:
    """DNS rebinding: a second look would lead elsewhere."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    site.answers["/a"] = html()
    given = rules(site)
    rebinding = web.Rules(resolve=lambda host, port: answers.pop(0), is_public=given.is_public, ports=given.ports)
    assert web.fetch(address(site, "/a", "rebind.example.org"), rebinding).content.decode() == PAGE
    assert answers == [["10.0.0.1"]]
    with pytest.raises(errors.AddressRefused):
        web.fetch(address(site, "/a", "rebind.example.org"), rebinding)
    assert len(site.seen) == 1


def test_a_certificate_of_another_name_is_refused(site: Site) -> None:
    """The server of the test speaks no TLS at all: nothing is sent to it."""
    with pytest.raises(errors.AddressFailed):
        web.fetch(f"https://example.org:{site.server_port}/", rules(site))
    assert site.seen == []


def test_a_name_that_nobody_knows(site: Site) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(errors.AddressFailed):
        web.fetch("http://nowhere.example.org/", web.Rules(resolve=fail))


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("COACH_URL_INGEST", False), ("OFFLINE", True)])
def test_it_is_off_unless_allowed(settings: Any, name: str, value: bool) -> None:
    setattr(settings, name, value)
    with pytest.raises(errors.AddressesOff):
        web.fetch("https://example.org/", web.Rules(resolve=no_resolver))


def test_only_hosts_of_the_list(site: Site, settings: Any) -> None:
    settings.COACH_URL_HOSTS = [".example.org", "other.se"]
    site.answers["/a"] = html()
    assert web.fetch(address(site, "/a"), rules(site)).filename == "a.html"
    for url in (
        "http://example.com/",
        "http://notexample.org/",
        "http://other.se.example.com/",
        "http://93.184.215.14/",
    ):
        with pytest.raises(errors.AddressRefused):
            web.fetch(url, web.Rules(resolve=no_resolver))


@pytest.fixture
def open_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The server of the test for whoever asks without rules of his own."""
    given = rules(site)
    monkeypatch.setattr(web, "Rules", lambda: given)
    return site


def test_over_rest(open_site: Site, ada: Any, base: Any) -> None:
    open_site.answers["/vanor"] = html()
    staff = Client(headers={"authorization": f"Bearer {create_token(user=ada)}"})

    def send(**body: str) -> Any:
        url = f"/api/v1/knowledge-bases/{base.slug}/documents"
        return staff.post(url, json.dumps(body), content_type="application/json")

    made = send(url=address(open_site, "/vanor"), language="sv")
    assert Document.objects.get().url == address(open_site, "/vanor")
    assert made.status_code == 201
    assert [(document["filename"], document["language"]) for document in made.json()] == [("vanor.html", "sv")]
    assert Document.objects.get().uploaded_by == ada
    assert (send(url="http://127.0.0.2/").json()["code"], send().json()["code"]) == ("address_refused", "no_file")
    assert send(url=address(open_site, "/gone")).status_code == 502


def test_on_the_command_line(open_site: Site, db: None, capsys: Any) -> None:
    open_site.answers["/vanor"] = html()
    with pytest.raises(CommandError, match="1 of 2 files"):
        call_command("ingest", address(open_site, "/vanor"), "http://10.0.0.1/", "--base", "personal", "--json")
    out = json.loads(capsys.readouterr().out)
    assert [document["filename"] for document in out["documents"]] == ["vanor.html"]
    assert [entry["code"] for entry in out["refused"]] == ["address_refused"]
