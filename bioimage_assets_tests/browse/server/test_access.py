"""Who is let in: nothing without the token, under no other name, by no other method, and nothing outside of the plates."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import settings_of, store_images
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

OUTSIDE = b"what nobody may see"


@pytest.fixture
def secret(project: Project) -> Path:
    """A file beside the store that the addresses below aim at."""
    path = project.zarr_store.parent / "secret.txt"
    path.write_bytes(OUTSIDE)
    return path


def test_the_page_is_there_behind_the_token(server: Server) -> None:
    answer = server.ask(server.base)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    ["/", "/t/", "/t", "/api/plates", "/t/api/plates", "/zarr/screen/P1.zarr/zarr.json", "/z/", "/docs"],
)
def test_without_a_token_nothing_is_there_and_nothing_is_said(server: Server, path: str) -> None:
    answer = server.ask(path)
    assert (answer.status, answer.body) == (404, b"Not found.")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "x",
        lambda t: t.swapcase(),
        lambda t: "é" + t,
        lambda t: t[::-1],
    ],
)
def test_a_wrong_token_is_no_token(server: Server, change) -> None:  # type: ignore[no-untyped-def]
    answer = server.ask(f"/t/{quote(change(server.access.token))}/api/plates")
    assert (answer.status, answer.body) == (404, b"Not found.")


def test_an_address_that_lost_its_last_slash_is_led_to_the_page(server: Server) -> None:
    answer = server.ask(server.base.rstrip("/"))
    assert (answer.status, answer.headers["location"]) == (308, f"{server.access.token}/")
    assert server.ask("/t/wrong").status == 404


def test_the_token_of_a_plate_opens_its_pixels_and_nothing_else(server: Server) -> None:
    token = server.access.plate_token(ZARR_PLATE)
    assert server.ask(f"/z/{token}/{ZARR_PLATE}.zarr/zarr.json").status == 200
    assert server.ask(f"/z/{token}/screen/P2.zarr/zarr.json").status == 404
    assert server.ask(f"/z/{token}/{quote(TIFF_PLATE)}.zarr/zarr.json").status == 404
    assert server.ask(f"/t/{token}/api/plates").status == 404
    assert server.ask(f"/z/{server.access.token}/{ZARR_PLATE}.zarr/zarr.json").status == 404
    assert server.access.token not in token


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "127.0.0.1:1", "localhost:99999"],
)
def test_another_name_than_this_machine_s_is_refused(server: Server, host: str) -> None:
    answer = server.ask(server.base, {"Host": host.format(port=server.port)})
    assert answer.status in (400, 403)
    assert b"<" not in answer.body


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "localhost"]
)
def test_this_machine_s_own_names_are_let_in(server: Server, host: str) -> None:
    assert server.ask(server.base, {"Host": host.format(port=server.port)}).status == 200


def test_the_host_of_the_address_that_links_name_is_let_in(project: Project) -> None:
    variables = {"BIOIMAGE_BROWSE_URL": "https://hub.lab.example/user/ada/proxy/8765"}
    with run_in_thread(settings_of(project.settings.data_dir, **variables)) as running:
        through = {"Host": "hub.lab.example"}
        answer = running.ask(running.base, through)
        assert answer.status == 200
        assert "Path=/user/ada/proxy/8765/go" in answer.headers["set-cookie"]
        plate = f"{running.base}api/plate?plate_key={ZARR_PLATE}"
        links = [running.ask(plate, headers).json()["links"]["zarr"] for headers in (through, None)]
        assert links[0].startswith("https://hub.lab.example/user/ada/proxy/8765/z/")
        assert links[1].startswith(f"http://127.0.0.1:{running.port}/z/")
        assert running.ask(running.base, {"Host": "other.lab.example"}).status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS"])
def test_nothing_but_reading_is_possible(server: Server, method: str) -> None:
    for path in (server.base, f"{server.base}api/plates", "/go"):
        assert server.ask(path, method=method).status == 405


TRICKS = [
    "../secret.txt", "A/../../secret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "..%2fsecret.txt", "A/1/..%2f..%2f..%2fsecret.txt",
    "%252e%252e/secret.txt", "..\\secret.txt", "..%5csecret.txt", "/secret.txt", "//secret.txt", "./zarr.json", "A//1/zarr.json", "%00", "zarr.json%00.txt",
    "%c0%ae%c0%ae/secret.txt", "", ".", "..", "A", "{absolute}", "%2F{absolute}", "file://{absolute}", "~/secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_no_address_leads_out_of_a_store(server: Server, secret: Path, trick: str) -> None:
    answer = server.ask(f"{server.base}zarr/{ZARR_PLATE}.zarr/{trick.format(absolute=secret)}")
    assert answer.status == 404
    assert OUTSIDE not in answer.body


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("room", ["reports", "page"])
def test_no_address_leads_out_of_reports_and_page(
    server: Server, project: Project, secret: Path, trick: str, room: str
) -> None:
    folder = project.settings.reports_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "secret.txt").write_bytes(OUTSIDE)
    path = trick.format(absolute=secret)
    answer = server.ask(f"{server.base}{'reports/' if room == 'reports' else ''}{path}")
    assert OUTSIDE not in answer.body
    assert answer.status == 404 or (not path.strip("/") and room == "page")


def test_a_link_out_of_a_store_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(OUTSIDE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0").write_bytes(OUTSIDE)
    settings = settings_of(tmp_path / "data")
    store = write_pixel_plate(tmp_path / "screen" / "P1.zarr")
    store_images(settings, ZARR_PLATE, store)
    (store / "linked").symlink_to(tmp_path / "secret.txt")
    (store / "folder").symlink_to(tmp_path / "elsewhere")
    (store / "inside").symlink_to(store / "zarr.json")
    with run_in_thread(settings) as running:
        for key, status in (("linked", 404), ("folder/0", 404), ("inside", 200)):
            answer = running.get(f"zarr/{ZARR_PLATE}.zarr/{key}")
            assert answer.status == status
            assert OUTSIDE not in answer.body
        shutil.rmtree(store / "A")
        (store / "A").symlink_to(tmp_path / "elsewhere")  # after it was served
        assert running.get(f"zarr/{ZARR_PLATE}.zarr/A/0").status == 404


def test_pixels_behind_a_link_out_of_a_store_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(OUTSIDE * 100)
    settings = settings_of(tmp_path / "data")
    store = write_pixel_plate(tmp_path / "P1.zarr", size=32)
    images = store_images(settings, ZARR_PLATE, store)
    chunk = store / "A" / "1" / "0" / "0" / "c" / "0" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    given = {
        "plate_key": ZARR_PLATE,
        "image_id": images["image_id"][0].as_py(),
        "y0": 0,
        "y1": 16,
        "x0": 0,
        "x1": 16,
    }
    with run_in_thread(settings) as running:
        answer = running.get("pixels", **given)
        assert answer.status == 422
        assert "link that leads out of the store" in str(answer.json()["error"])
        assert running.get("pixels", **given, c=1).status == 200
    followed = settings_of(tmp_path / "data", BIOIMAGE_FOLLOW_SYMLINKS="on")
    with run_in_thread(followed) as running:
        assert "leads out" not in str(running.get("pixels", **given).json())


def test_a_link_among_the_reports_is_not_followed(project: Project, server: Server, secret: Path) -> None:
    folder = project.settings.reports_dir
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "linked.html"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    assert server.get("reports/linked.html").status == 404


@pytest.mark.parametrize(
    "key",
    [
        "screen/None",
        "a/b/c",
        "P1",
        "../P1",
        "screen/..",
        "/etc/passwd",
        "screen/P1/",
        "screen/P1%00",
        "x" * 5000,
    ],
)
def test_a_plate_that_is_not_of_the_project_is_not_there(server: Server, key: str) -> None:
    answer = server.get("api/plate", plate_key=key)
    assert answer.status == 404
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "image", ["../../etc/passwd", "P1:A01:0/../x", "é", "'; drop", '"', "a\nb", "x" * 5000]
)
def test_an_image_that_the_plate_has_not_is_not_there(server: Server, image: str) -> None:
    for path, more in (("api/image", {}), ("thumb", {}), ("pixels", {"y0": 0, "y1": 1, "x0": 0, "x1": 1})):
        assert server.get(path, plate_key=ZARR_PLATE, image_id=image, **more).status == 404


def test_every_answer_says_what_browsers_may_not_do_with_it(server: Server) -> None:
    for path in (
        server.base,
        f"{server.base}api/plates",
        f"{server.base}nothing",
        "/",
        f"{server.base}zarr/{ZARR_PLATE}.zarr/zarr.json",
    ):
        headers = server.ask(path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]


def test_other_sites_may_read_pixels_only(server: Server) -> None:
    origin = {"Origin": "https://hms-dbmi.github.io"}
    token = server.access.plate_token(ZARR_PLATE)
    pixels = f"/z/{token}/{ZARR_PLATE}.zarr/zarr.json"
    assert server.ask(pixels, origin).headers["access-control-allow-origin"] == "*"
    preflight = server.ask(pixels, {**origin, "Access-Control-Request-Headers": "range"}, method="OPTIONS")
    assert preflight.status == 204
    assert "Range" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-private-network"] == "true"
    for path in (server.base, f"{server.base}api/plates", "/go", "/"):
        assert "access-control-allow-origin" not in server.ask(path, origin).headers
    assert (
        "access-control-allow-origin"
        not in server.ask(pixels.replace(token, "x" * len(token)), origin).headers
    )


def test_a_link_of_a_report_needs_a_browser_that_opened_the_page(server: Server) -> None:
    refused = server.ask("/go?plate=screen/P1")
    assert refused.status == 403
    assert b"bioimage-assets browse" in refused.body
    assert server.access.token.encode() not in refused.body
    cookie = server.ask(server.base).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Path=/go" in cookie
    assert server.access.token not in cookie
    led = server.ask("/go?plate=screen/P1&well=A01", {"Cookie": cookie.split(";")[0]})
    assert led.status == 303
    assert led.headers["location"] == f"t/{server.access.token}/#/plate/screen%2FP1/well/A01"
    assert server.ask("/go", {"Cookie": f"{server.access.cookie_name}=guessed"}).status == 403


def test_a_link_to_a_cell_leads_to_the_image_it_was_measured_on(server: Server, project: Project) -> None:
    cookie = server.ask(server.base).headers["set-cookie"].split(";")[0]
    cell = project.cells.to_pylist()[5]
    name, image = quote(cell["Metadata_ObjectID"], safe=""), quote(cell["image_id"], safe="")
    led = server.ask(f"/go?cell={name}", {"Cookie": cookie})
    assert led.headers["location"] == f"t/{server.access.token}/#/plate/screen%2FP1/image/{image}?cell={name}"
    gone = server.ask("/go?cell=screen/P1/999/1", {"Cookie": cookie})
    assert gone.headers["location"].endswith("#/plate/screen%2FP1")


def test_a_link_cannot_lead_to_another_site(server: Server) -> None:
    cookie = server.ask(server.base).headers["set-cookie"].split(";")[0]
    for plate in ("//evil.example/x", "https:%2F%2Fevil.example", "a/b%0d%0aX-Injected:1", "%22><script>"):
        led = server.ask(f"/go?plate={plate}", {"Cookie": cookie})
        assert led.headers["location"].startswith(f"t/{server.access.token}/#/")
        assert "x-injected" not in led.headers
        assert "<" not in led.headers["location"]
