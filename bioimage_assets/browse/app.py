"""The routes of the server: each reads its parameters, asks one module, and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bioimage_assets.browse.access import Access
from bioimage_assets.browse.answers import (
    answer_errors,
    answer_json,
    answer_slowly,
    read_number,
    read_numbers,
    read_switch,
    read_text,
)
from bioimage_assets.browse.cells import list_cells
from bioimage_assets.browse.channels import PlateChannels
from bioimage_assets.browse.disk_cache import DiskCache
from bioimage_assets.browse.entrance import Entrance
from bioimage_assets.browse.guard import Guard
from bioimage_assets.browse.images import describe_image, read_pixels
from bioimage_assets.browse.links import ViewerLinks, build_links
from bioimage_assets.browse.one_cell import explain_cell
from bioimage_assets.browse.open_images import OpenImages, Planes
from bioimage_assets.browse.plate_list import list_datasets
from bioimage_assets.browse.plate_stores import PlateStores
from bioimage_assets.browse.plate_view import describe_plate
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow, find_plate
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.served_objects import answer_object
from bioimage_assets.browse.thumbnails import DEFAULT_PX, MAX_PX, MIN_PX, Thumbnails, bundle_pictures
from bioimage_assets.browse.well_values import read_well_numbers
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.pages import locate_page

MAX_CELLS = 1_000  # rows of one answer
MAX_THUMBS = 64  # pictures of one answer
_KEEP_A_DAY = "private, max-age=86400"


@dataclass
class Browser:
    """What requests are answered from; one for the life of the server."""

    project: BrowsedProject
    access: Access
    images: OpenImages
    cache: DiskCache
    channels: PlateChannels = field(init=False)
    thumbnails: Thumbnails = field(init=False)
    plate_stores: PlateStores = field(init=False)
    entrance: Entrance = field(init=False)

    def __post_init__(self) -> None:
        self.channels = PlateChannels(self.project, self.images, self.cache)
        self.thumbnails = Thumbnails(self.images, self.channels, self.cache)
        self.plate_stores = PlateStores(self.project, self.channels)
        self.entrance = Entrance(self.project, self.access)

    def plate(self, request: Request) -> BrowsedPlate:
        """The plate that a request names."""
        return find_plate(self.project, read_text(request, "plate_key"))

    def plates(self, _: Request) -> Response:
        """Datasets with their plates."""
        return answer_json({"datasets": list_datasets(self.project)})

    def show_plate(self, request: Request) -> Response:
        """One plate: grid, fields, channels, measurements, findings."""
        plate = self.plate(request)
        links = self._link(request, plate)
        return answer_json(describe_plate(self.project, plate, self.channels.find_soon(plate), links))

    def well_values(self, request: Request) -> Response:
        """One number of each well."""
        plate, name = self.plate(request), read_text(request, "name")
        return answer_json(read_well_numbers(self.project, plate.plate_key, name))

    def cells(self, request: Request) -> Response:
        """Cells of a well, some at a time."""
        page = list_cells(
            self.project,
            self.plate(request).plate_key,
            read_text(request, "well_id"),
            image_id=request.query_params.get("image_id") or None,
            only_failed=read_switch(request, "only_failed"),
            offset=read_number(request, "offset", 0),
            limit=read_number(request, "limit", 100, least=1, most=MAX_CELLS),
        )
        return answer_json(page)

    def cell(self, request: Request) -> Response:
        """One cell, and why it failed."""
        plate = self.plate(request)
        return answer_json(explain_cell(self.project, plate.plate_key, read_text(request, "object_id")))

    def image(self, request: Request) -> Response:
        """One image: axes, levels, channels."""
        plate, image_id = self.plate(request), read_text(request, "image_id")
        links = self._link(request, plate, image_id)
        return answer_json(describe_image(plate, image_id, self.channels.find(plate), links))

    def thumb(self, request: Request) -> Response:
        """A field as a small picture, where it was made before; a page asks for hundreds at once."""
        plate, one, size = self._read_thumb(request)
        found = self.thumbnails.find(plate, one, size)
        return Response(status_code=204) if found is None else _answer_picture(found)

    def make_thumb(self, request: Request) -> Response:
        """A field as a small picture, made now."""
        plate, one, size = self._read_thumb(request)
        # Somebody may have asked for the same one a moment ago.
        return _answer_picture(
            self.thumbnails.find(plate, one, size) or self.thumbnails.make(plate, one, size)
        )

    def _read_thumb(self, request: Request) -> tuple[BrowsedPlate, FieldRow, int]:
        plate = self.plate(request)
        size = read_number(request, "size", DEFAULT_PX, least=MIN_PX, most=MAX_PX)
        return plate, plate.field(read_text(request, "image_id")), size

    def thumbs(self, request: Request) -> Response:
        """Pictures of several fields that were made before, in one answer: hundreds of requests would cost more than the pictures."""
        plate = self.plate(request)
        size = read_number(request, "size", DEFAULT_PX, least=MIN_PX, most=MAX_PX)
        fields = [plate.field(image_id) for image_id in request.query_params.getlist("image_id")]
        if len(fields) > MAX_THUMBS:
            raise UsageError(f"{len(fields)} pictures are more than the {MAX_THUMBS} of one answer.")
        found = [self.thumbnails.find(plate, one, size) for one in fields]
        kept = "no-store" if None in found else _KEEP_A_DAY
        return Response(
            bundle_pictures(found), media_type="application/octet-stream", headers={"Cache-Control": kept}
        )

    def pixels(self, request: Request) -> Response:
        """Samples of one or some channels as they are stored: with ``c=1`` (y, x), with ``c=0,1`` (c, y, x)."""
        plate = self.plate(request)
        one = plate.field(read_text(request, "image_id"))
        level, z, t = (read_number(request, name, 0) for name in ("level", "z", "t"))
        planes = Planes(level, read_numbers(request, "c", (0,)), z, t)
        box = PixelBox(*(read_number(request, name) for name in ("y0", "y1", "x0", "x1")))
        found = read_pixels(self.images, plate.geometry(one.image_id), one.fingerprint, planes, box)
        shape = ",".join(map(str, found.shape if len(planes.channels) > 1 else found.shape[1:]))
        headers = {"X-Shape": shape, "X-Dtype": found.dtype, "Cache-Control": "private, max-age=300"}
        return Response(found.payload, media_type="application/octet-stream", headers=headers)

    def zarr(self, request: Request) -> Response:
        """An object of the plate's OME-Zarr."""
        if request.method == "OPTIONS":
            return _answer_preflight()
        dataset, name, key = (request.path_params[part] for part in ("dataset", "plate", "key"))
        plate = find_plate(self.project, f"{dataset}/{name}")
        return answer_object(request, self.plate_stores.find(plate), key)

    def _link(self, request: Request, plate: BrowsedPlate, image_id: str | None = None) -> ViewerLinks:
        base = self.entrance.find_base(request)
        token = self.access.plate_token(plate.plate_key)
        dataset, name = plate.plate_key.split("/")
        url = f"{base}/z/{token}/{quote(dataset, safe='')}/{quote(name, safe='')}.zarr"
        page = locate_page(self.project.settings.reports_dir, plate.plate_key)
        report = None
        if page.is_file():
            report = "reports/" + quote(page.relative_to(self.project.settings.reports_dir).as_posix())
        inside = "" if image_id is None else quote(self.plate_stores.find_path(plate, image_id))
        return build_links(
            f"{url}/{inside}" if inside else url,
            report=report,
            is_image=image_id is not None,
            zarr_format=self.plate_stores.find_format(plate),
        )


def build_app(settings: ProjectSettings, access: Access) -> ASGIApp:
    """The server of one project."""
    project = BrowsedProject(settings)
    cache = DiskCache(settings.data_dir / "cache" / "browse")
    browser = Browser(project, access, OpenImages(project.storage_options), cache)
    entrance = browser.entrance
    handlers = {
        "/go": entrance.go,
        "/api/plates": browser.plates,
        "/api/plate": browser.show_plate,
        "/api/well-values": browser.well_values,
        "/api/cells": browser.cells,
        "/api/cell": browser.cell,
        "/api/image": browser.image,
        "/thumbs": browser.thumbs,
        "/pixels": browser.pixels,
        "/reports/{path:path}": entrance.report,
        "/{path:path}": entrance.page,
    }
    pixels = Route(
        "/zarr/{dataset}/{plate}.zarr/{key:path}",
        answer_errors(browser.zarr),
        methods=["GET", "HEAD", "OPTIONS"],
    )
    routes = [Route(path, answer_errors(handler)) for path, handler in handlers.items()]
    thumb = Route("/thumb", answer_slowly(answer_errors(browser.thumb), answer_errors(browser.make_thumb)))

    @asynccontextmanager
    async def close_at_end(_: Starlette) -> AsyncIterator[None]:
        yield
        browser.images.close()
        browser.plate_stores.close()

    return Guard(Starlette(routes=[pixels, thumb, *routes], lifespan=close_at_end), access)


def _answer_picture(payload: bytes) -> Response:
    return Response(payload, media_type="image/jpeg", headers={"Cache-Control": _KEEP_A_DAY})


def _answer_preflight() -> Response:
    """Browsers ask before a page of another site reads a range, or reaches into this machine."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "Range",
            "Access-Control-Allow-Private-Network": "true",
            "Access-Control-Max-Age": "600",
        },
    )
