"""The independent validator of RO-Crates, without a network: it is given the context of RO-Crate 1.1, as far as releases use it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import rocrate
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

# What the context of RO-Crate 1.1 has of the terms of a release, compared with the one that rocrate 0.15 brings (rocrate 0.16
# brings that of 1.3, which means the same by them). A term that is not here is not known to the validator.
_TERMS_OF_1_1 = frozenset(
    [
        "CreateAction",
        "CreativeWork",
        "Dataset",
        "File",
        "Organization",
        "Person",
        "SoftwareApplication",
        "about",
        "affiliation",
        "agent",
        "author",
        "conformsTo",
        "contentSize",
        "datePublished",
        "description",
        "encodingFormat",
        "endTime",
        "hasPart",
        "identifier",
        "instrument",
        "license",
        "mentions",
        "name",
        "object",
        "publisher",
        "result",
        "size",
        "softwareVersion",
        "url",
        "version",
    ]
)


def _read_context() -> bytes:
    document = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())
    return json.dumps({"@context": {term: document["@context"][term] for term in _TERMS_OF_1_1}}).encode()


class _ContextOnly(BaseAdapter):
    """Answers requests for a context of RO-Crate, and knows nothing else."""

    def send(self, request: PreparedRequest, **_: object) -> Response:
        answer = Response()
        answer.url, answer.request = str(request.url), request
        answer.status_code = 200 if answer.url.endswith("/context") else 404
        answer._content = _read_context() if answer.status_code == 200 else b""
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
