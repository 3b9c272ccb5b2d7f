"""The independent validator of RO-Crates, without a network: the context is the one that the package rocrate brings."""

from __future__ import annotations

import warnings
from pathlib import Path

import rocrate
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter


class _ContextOnly(BaseAdapter):
    """Answers requests for a context of RO-Crate, of whatever version, and knows nothing else."""

    def send(self, request: PreparedRequest, **_: object) -> Response:
        answer = Response()
        answer.url, answer.request = str(request.url), request
        answer.status_code = 200 if answer.url.endswith("/context") else 404
        answer._content = (
            (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()
            if answer.status_code == 200
            else b""
        )
        answer.headers["Content-Type"] = "application/ld+json"
        return answer

    def close(self) -> None:
        pass


def find_crate_issues(folder: Path, profile: str) -> list[str]:
    """What the validator says against a crate, by the rules of a profile that a crate must or should keep."""
    with warnings.catch_warnings():
        # rdflib 7: roc-validator 0.13 uses what it calls deprecated.
        warnings.simplefilter("ignore")
        from rocrate_validator import models, services
        from rocrate_validator.utils.document_loader import install_document_loader, uninstall_document_loader
        from rocrate_validator.utils.http import HttpRequester

        settings = services.ValidationSettings(
            rocrate_uri=str(folder),
            profile_identifier=profile,
            requirement_severity=models.Severity.RECOMMENDED,
            no_cache=True,
        )
        for scheme in ("https://", "http://"):
            HttpRequester().session.mount(scheme, _ContextOnly())
        install_document_loader()
        try:
            result = services.validate(settings)
        finally:
            uninstall_document_loader()
        return [
            f"{issue.severity.name} {issue.check.identifier}: {issue.message}"
            for issue in result.get_issues()
        ]
