"""How a web browser gets in: the page sets a cookie, by which links that know no token lead to their place in the page."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from bioimage_assets.browse.access import Access, is_loopback
from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.guard import PAGE_POLICY, REPORT_POLICY
from bioimage_assets.browse.one_cell import explain_cell
from bioimage_assets.browse.plates import find_plate
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.static_files import PAGE_FOLDER, answer_file

_GO = "go"


@dataclass(frozen=True, slots=True)
class Entrance:
    """The page, the reports and ``/go`` of one project."""

    project: BrowsedProject
    access: Access

    def page(self, request: Request) -> Response:
        """The page itself; the first answer of it lets links of reports in from now on."""
        path = request.path_params["path"]
        answer = answer_file(PAGE_FOLDER, path, PAGE_POLICY)
        if not path:
            for prefix in dict.fromkeys(("", self.access.path_prefix)):  # here, and as a proxy shows it
                answer.set_cookie(
                    self.access.cookie_name,
                    self.access.cookie_value,
                    httponly=True,
                    samesite="lax",
                    path=f"{prefix}/{_GO}",
                )
        return answer

    def report(self, request: Request) -> Response:
        """A report page or a picture of one; links of a page to pixels lead to this server, whatever address was set when it was made."""
        path: str = request.path_params["path"]
        settings = self.project.settings
        answer = answer_file(settings.reports_dir, path, REPORT_POLICY)
        up = "../" * (
            path.count("/") + 3
        )  # out of the folders of the report, of ``reports`` and of the token
        body = bytes(answer.body).replace(
            f'href="{settings.browse_url}/{_GO}'.encode(), f'href="{up}{_GO}'.encode()
        )
        return Response(body, headers={**answer.headers, "content-length": str(len(body))})

    def go(self, request: Request) -> Response:
        """From a link that knows no token to the page, for the browser that has opened it before."""
        if not self.access.is_cookie(request.cookies.get(self.access.cookie_name, "")):
            return PlainTextResponse(_say_command(request), 403)
        return RedirectResponse(f"t/{self.access.token}/#{self._find_route(request)}", 303)

    def find_base(self, request: Request) -> str:
        """Address of this server as the request came in; that of ``BIOIMAGE_BROWSE_URL`` where a proxy passed it on."""
        public = self.project.settings.browse_url
        host = urlsplit(public).hostname or ""
        if host == request.url.hostname and not is_loopback(host):
            return public
        return f"{request.url.scheme}://{request.url.netloc}"

    def _find_route(self, request: Request) -> str:
        """The place in the page that a link means; as near to it as can be found."""
        asked = request.query_params
        plate_key, cell = asked.get("plate") or "", asked.get("cell") or ""
        if plate_key and "/" not in plate_key and asked.get("dataset"):
            plate_key = f"{asked['dataset']}/{plate_key}"
        if not plate_key and cell:
            plate_key = "/".join(cell.split("/")[:2])
        if not plate_key:
            return "/"
        base = f"/plate/{_quote(plate_key)}"
        image = asked.get("image") or self._find_image(plate_key, cell)
        if image:
            return f"{base}/image/{_quote(image)}" + (f"?cell={_quote(cell)}" if cell else "")
        return f"{base}/well/{_quote(asked['well'])}" if asked.get("well") else base

    def _find_image(self, plate_key: str, cell: str) -> str | None:
        if not cell:
            return None
        try:
            return explain_cell(self.project, find_plate(self.project, plate_key).plate_key, cell).image_id
        except NotThereError:
            return None


def _quote(part: str) -> str:
    return quote(part, safe="")


def _say_command(request: Request) -> str:
    plate = request.query_params.get("plate")
    named = f" --plate {plate}" if plate and plate.replace("/", "").isalnum() and "/" in plate else ""
    return (
        "This browser has not opened the pages of this server yet. Type this in the folder of the project, and follow "
        f"the link again:\n\n  bioimage-assets browse{named}\n"
    )
