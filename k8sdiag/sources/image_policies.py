"""Policies that have a say in which images run: of the groups that the cluster has."""

import re
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from k8sdiag.facts.image_policies import ImagePolicies, ImagePolicy
from k8sdiag.model import Permission, Unavailable
from k8sdiag.readers.kubernetes import Kubernetes, NotFound
from k8sdiag.sources._groups import DISCOVERY, groups

PAGE = 100  # a policy can have many kilobytes


class _Metadata(Struct, frozen=True):
    name: str = ""


class _Rule(Struct, rename="camel"):
    verify_images: list[msgspec.Raw] | None = None


class _Expression(Struct):
    expression: str = ""


class _Spec(Struct):
    rules: list[_Rule] | None = None
    validations: list[_Expression] | None = None
    variables: list[_Expression] | None = None


class _Object(Struct):
    metadata: _Metadata = _Metadata()
    spec: _Spec | None = None


def _all(_: _Object) -> bool:
    return True


def _verify_images(item: _Object) -> bool:
    return any(rule.verify_images for rule in (item.spec and item.spec.rules) or ())


def _names_images(item: _Object) -> bool:
    """Whether an expression of it looks at `.image` of a container; no text of it is kept."""
    spec = item.spec or _Spec()
    texts = [e.expression for e in (spec.validations or []) + (spec.variables or [])]
    return any(re.search(r"\.image\b", text) for text in texts)


def _called(name: str) -> Callable[[_Object], bool]:
    return lambda item: name in item.metadata.name


class _Kind(Struct, frozen=True):
    of: str
    group: str
    resource: str
    kind: str
    counts: Callable[[_Object], bool] = _all
    verifies: bool = True

    @property
    def needs(self) -> Permission:
        return Permission(resource=self.resource, group=self.group)


_KYVERNO, _WEBHOOKS = "kyverno.io", "admissionregistration.k8s.io"
_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_KINDS = (
    _Kind("Kyverno", _KYVERNO, "clusterpolicies", "ClusterPolicy", _verify_images),
    _Kind("Kyverno", _KYVERNO, "policies", "Policy", _verify_images),
    _Kind("Kyverno", "policies.kyverno.io", "imagevalidatingpolicies", "ImageValidatingPolicy"),
    _Kind(
        "Sigstore policy controller",
        "policy.sigstore.dev",
        "clusterimagepolicies",
        "ClusterImagePolicy",
    ),
    _Kind("OpenShift", "config.openshift.io", "clusterimagepolicies", "ClusterImagePolicy"),
    _Kind("OpenShift", "config.openshift.io", "imagepolicies", "ImagePolicy"),
    _Kind("Ratify", "config.ratify.deislabs.io", "verifiers", "Verifier"),
    _Kind(
        "Connaisseur",
        _WEBHOOKS,
        "mutatingwebhookconfigurations",
        _MUTATING,
        _called("connaisseur"),
    ),
    _Kind(
        "Binary Authorization",
        _WEBHOOKS,
        "validatingwebhookconfigurations",
        _VALIDATING,
        _called("binauthz"),
    ),
    _Kind(
        "Kubernetes",
        _WEBHOOKS,
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        _names_images,
        verifies=False,
    ),
)
PERMISSIONS = (DISCOVERY, *(kind.needs for kind in _KINDS))


def collect(reader: Kubernetes) -> ImagePolicies:
    versions = reader.once(groups)
    found: list[ImagePolicy] = []
    gaps: dict[str, str] = {}
    for kind in _KINDS:
        if version := versions.get(kind.group):
            try:
                found += _read(reader, kind, version)
            except NotFound:
                continue  # the group has it in no version, or not in this one
            except Unavailable as error:
                gaps[f"{kind.resource}.{kind.group}"] = str(error)
    return ImagePolicies(
        policies=tuple(found),
        gaps=gaps,
        provenance="/apis of the API server, and what its groups hold",
    )


def _read(reader: Kubernetes, kind: _Kind, version: str) -> Iterator[ImagePolicy]:
    path = f"/apis/{kind.group}/{version}/{kind.resource}"
    for page in reader.pages(path, _Object, kind.needs, limit=PAGE):
        for item in page:
            if kind.counts(item):
                yield ImagePolicy(kind.kind, item.metadata.name, kind.of, kind.verifies)
