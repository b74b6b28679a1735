"""What the engine is made of, as CycloneDX 1.5: its Python packages, as they are installed here, and its networks."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from importlib import metadata
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from understudy.engine.faces.networks import weights
from understudy.engine.voice import networks

LONGEST_NAME = 60
"""Characters of a licence's name: what is longer is the licence's text."""


def bill(version: str, when: int) -> dict[str, Any]:
    """The document; `when` is its time in seconds since 1970."""
    found = installed("understudy")
    root = {"type": "application", "bom-ref": "understudy", "name": "understudy", "version": version,
            "licenses": [{"expression": "GPL-3.0-or-later"}], "purl": f"pkg:pypi/understudy@{version}"}  # fmt: skip
    libraries = {name: component(one) for name, one in sorted(found.items()) if name != "understudy"}
    models = [model(name, network, package) for package in (*weights.PACKAGES, *networks.PACKAGES)
              for name, network in package.networks.items()]  # fmt: skip
    references = {"understudy": "understudy"} | {name: one["bom-ref"] for name, one in libraries.items()}
    uses = {references[name]: sorted(references[need] for need in needs(one)) for name, one in sorted(found.items())}
    uses["understudy"] += [one["bom-ref"] for one in models]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'understudy {version} {when}')}",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)), "component": root},
        "components": [*libraries.values(), *models],
        "dependencies": [{"ref": ref, "dependsOn": used} for ref, used in uses.items()],
    }


def installed(root: str) -> dict[str, metadata.Distribution]:
    """A package and all that it needs here, by their names in small letters."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = metadata.distribution(name)
            waiting += needs(found[name])
    return found


def needs(one: metadata.Distribution) -> Iterator[str]:
    """The packages that one needs on this system, without extras."""
    for line in one.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield _normal(wanted.name)


def component(one: metadata.Distribution) -> dict[str, Any]:
    """A Python package; a build's own label, such as +cpu, is left out."""
    name, version = _normal(one.metadata["Name"]), one.version.partition("+")[0]
    purl = f"pkg:pypi/{name}@{quote(version)}"
    said = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return said | ({"licenses": licences} if (licences := licences_of(one)) else {})


def licences_of(one: metadata.Distribution) -> list[dict[str, Any]]:
    """What a package says of its licence: an SPDX expression, else names."""
    if expression := one.metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = one.metadata.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    told = (one.metadata.get("License") or "").strip()
    if told and len(told) <= LONGEST_NAME and "\n" not in told:
        names = [told]
    return [{"license": {"name": name}} for name in names]


def model(name: str, network: weights.Network, package: weights.Package) -> dict[str, Any]:
    """A network, and the package that it is taken out of; the hash is that package's archive's."""
    return {
        "type": "machine-learning-model",
        "bom-ref": f"network:{name}",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{_normal(package.name)}@{package.version}",
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "licenses": [{"license": {"id": network.licence}}],
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
