"""Which signatures count, for every kind of key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from staplesrv.ocsp.asn1 import HashAlgorithm, MaskAlgorithm, PSSAlgorithm, PSSParameters
from staplesrv.ocsp.certid import Target
from staplesrv.ocsp.hashing import HASHES
from staplesrv.ocsp.pss import MAX_SALT, UnreadableParameters, read_pss
from staplesrv.ocsp.response import RejectReason, ResponseRejected, Rules, VerifiedResponse
from staplesrv.ocsp.signature import Scheme, WeakAlgorithm, plain_scheme
from staplesrv.testing import CertificateAuthority
from staplesrv.testing.der import NULL, BasicOCSPResponse, OCSPResponse, PssParameters, algorithm, raw
from staplesrv.testing.response import wrap
from staplesrv.testing.signature import HASH_OIDS

Judge = Callable[..., VerifiedResponse]
Refuse = Callable[..., ResponseRejected]

PSS_OID = "1.2.840.113549.1.1.10"
MGF1_OID = "1.2.840.113549.1.1.8"
SHA1_ALLOWED = Rules(allow_sha1=True)


class World:
    """A CA with one kind of key, and a leaf."""

    def __init__(self, key: str, now: datetime) -> None:
        self.ca = CertificateAuthority("Signing CA", key=key, now=now)  # type: ignore[arg-type]
        self.leaf = self.ca.issue("a.example")
        self.target = Target.for_leaf(self.leaf.certificate, self.ca.certificate)

    def respond(self, signature: str = "sha256") -> bytes:
        """A response under an algorithm."""
        return self.ca.respond(self.leaf, signature=signature)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def worlds(now: datetime) -> dict[str, World]:
    """One per kind of key."""
    return {key: World(key, now) for key in ("ec", "ec384", "rsa", "ed25519", "ed448")}


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        *[("rsa", kind) for kind in ("sha256", "sha384", "sha512", "pss", "pss-sha384", "pss-sha512")],
        *[(key, kind) for key in ("ec", "ec384") for kind in ("sha256", "sha384", "sha512")],
        ("ed25519", "sha256"),
        ("ed448", "sha256"),
    ],
)
def test_strong_signatures_count(key: str, signature: str, worlds: dict[str, World], judge: Judge) -> None:
    """RSA with both paddings, ECDSA and EdDSA, with SHA-256 or better."""
    world = worlds[key]
    assert judge(world.respond(signature), target=world.target).status == "good"


@pytest.mark.parametrize(("key", "signature"), [("rsa", "sha1"), ("rsa", "pss-sha1"), ("ec", "sha1")])
def test_sha1_counts_only_by_option(
    key: str, signature: str, worlds: dict[str, World], judge: Judge, refuse: Refuse
) -> None:
    """The refusal names the signer and the hash."""
    world = worlds[key]
    refusal = refuse(world.respond(signature), target=world.target)
    assert refusal.reason is RejectReason.WEAK_SIGNATURE
    assert "CN=Signing CA signed with SHA1" in refusal.detail
    assert judge(world.respond(signature), target=world.target, rules=SHA1_ALLOWED).status == "good"


@pytest.mark.parametrize("key", ["ec", "rsa", "ed25519", "ed448"])
@pytest.mark.parametrize("rules", [Rules(), SHA1_ALLOWED])
def test_a_signature_with_one_bit_changed_is_bad(
    key: str, rules: Rules, worlds: dict[str, World], refuse: Refuse
) -> None:
    """For every kind of key; the refusal names whose it should be."""
    world = worlds[key]
    response_der = world.ca.respond(world.leaf, corrupt_signature=True)
    refusal = refuse(response_der, target=world.target, rules=rules)
    assert refusal.reason is RejectReason.BAD_SIGNATURE
    assert "CN=Signing CA" in refusal.detail


def resigned(response_der: bytes, oid: str, parameters: bytes | None, signature: bytes | None = None) -> bytes:
    """A response under another algorithm, with its old signature or a new one."""
    outer = asn1.decode_der(OCSPResponse, response_der)
    assert outer.response is not None
    basic = asn1.decode_der(BasicOCSPResponse, outer.response.response)
    basic.signature_algorithm = algorithm(oid, parameters)
    if signature is not None:
        basic.signature = asn1.BitString(signature, 0)
    return wrap(asn1.encode_der(basic))


def signed_data(response_der: bytes) -> bytes:
    """What a response's signature is over."""
    outer = asn1.decode_der(OCSPResponse, response_der)
    assert outer.response is not None
    return asn1.encode_der(asn1.decode_der(BasicOCSPResponse, outer.response.response).data)


@pytest.mark.parametrize(
    ("oid", "parameters"),
    [
        pytest.param("1.2.840.113549.1.1.2", NULL, id="MD2 with RSA"),
        pytest.param("1.2.840.113549.1.1.4", NULL, id="MD5 with RSA"),
        pytest.param("1.2.840.113549.1.1.14", NULL, id="SHA-224 with RSA"),
        pytest.param("2.16.840.1.101.3.4.3.14", NULL, id="SHA3-256 with RSA"),
        pytest.param("1.2.840.10045.4.3.1", None, id="SHA-224 with ECDSA"),
        pytest.param("1.2.840.10040.4.3", NULL, id="SHA-1 with DSA"),
        pytest.param("2.16.840.1.101.3.4.3.2", None, id="SHA-256 with DSA"),
        pytest.param("1.3.6.1.4.1.99999.1", NULL, id="nobody knows it"),
    ],
)
@pytest.mark.parametrize("rules", [Rules(), SHA1_ALLOWED])
def test_other_algorithms_never_count(
    oid: str, parameters: bytes | None, rules: Rules, worlds: dict[str, World], refuse: Refuse
) -> None:
    """Whatever SHA-1's option says; the refusal has the algorithm."""
    world = worlds["rsa"]
    refusal = refuse(resigned(world.respond(), oid, parameters), target=world.target, rules=rules)
    assert refusal.reason is RejectReason.WEAK_SIGNATURE
    assert oid in refusal.detail


@pytest.mark.parametrize("key", ["ec", "rsa", "ed25519"])
@pytest.mark.parametrize("oid", ["1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2", "1.3.101.112", "1.3.101.113"])
def test_an_algorithm_for_another_key_is_a_bad_signature(
    key: str, oid: str, worlds: dict[str, World], refuse: Refuse
) -> None:
    """Said of the signature, and no exception: the length is right and the key is not."""
    world = worlds[key]
    response_der = resigned(world.respond(), oid, None, b"\x01" * 64)
    assert refuse(response_der, target=world.target).reason is RejectReason.BAD_SIGNATURE


def test_sha1_under_its_older_name_is_sha1(worlds: dict[str, World], judge: Judge, refuse: Refuse) -> None:
    """OIW's identifier for RSA with SHA-1 is still found in old responders."""
    world = worlds["rsa"]
    response_der = resigned(world.respond("sha1"), "1.3.14.3.2.29", NULL)
    assert refuse(response_der, target=world.target).reason is RejectReason.WEAK_SIGNATURE
    assert judge(response_der, target=world.target, rules=SHA1_ALLOWED).status == "good"


def pss_parameters(digest: str, mask: str, salt: int) -> bytes:
    """RSASSA-PSS-params; DER leaves out what is the default: SHA-1, MGF1 with SHA-1, 20 bytes."""
    return asn1.encode_der(
        PSSParameters(
            hash_algorithm=None if digest == "sha1" else hash_algorithm(digest),
            mask_algorithm=None
            if mask == "sha1"
            else MaskAlgorithm(oid=x509.ObjectIdentifier(MGF1_OID), hash_algorithm=hash_algorithm(mask)),
            salt_length=salt,
            trailer=1,
        )
    )


def hash_algorithm(name: str) -> HashAlgorithm:
    """An AlgorithmIdentifier of a hash."""
    return HashAlgorithm(oid=x509.ObjectIdentifier(HASH_OIDS[name]), parameters=asn1.Null())


def pss_signed(world: World, digest: str, mask: str, salt: int, *, said: bytes | None = None) -> bytes:
    """A response signed with RSASSA-PSS; `said` are the parameters that it claims, when others."""
    response_der = world.respond()
    assert isinstance(world.ca.key, RSAPrivateKey)
    signature = world.ca.key.sign(
        signed_data(response_der), padding.PSS(padding.MGF1(HASHES[mask]), salt), HASHES[digest]
    )
    return resigned(response_der, PSS_OID, said or pss_parameters(digest, mask, salt), signature)


@pytest.mark.parametrize(
    ("digest", "mask", "salt"),
    [("sha256", "sha256", 32), ("sha256", "sha256", 0), ("sha256", "sha256", 100), ("sha512", "sha256", 64)],
)
def test_pss_parameters_are_honoured(digest: str, mask: str, salt: int, worlds: dict[str, World], judge: Judge) -> None:
    """The hash, the hash of the mask, and any length of salt."""
    world = worlds["rsa"]
    assert judge(pss_signed(world, digest, mask, salt), target=world.target).status == "good"


def test_pss_with_other_parameters_than_said_is_bad(worlds: dict[str, World], refuse: Refuse) -> None:
    """What the response claims is what is verified: salt, mask and hash."""
    world = worlds["rsa"]
    for said in (("sha256", "sha256", 31), ("sha256", "sha384", 32), ("sha384", "sha256", 32)):
        response_der = pss_signed(world, "sha256", "sha256", 32, said=pss_parameters(*said))
        assert refuse(response_der, target=world.target).reason is RejectReason.BAD_SIGNATURE


def test_a_pss_mask_over_sha1_counts_only_by_option(worlds: dict[str, World], judge: Judge, refuse: Refuse) -> None:
    """The mask is held to the rule of the hash."""
    world = worlds["rsa"]
    response_der = pss_signed(world, "sha256", "sha1", 32)
    assert refuse(response_der, target=world.target).reason is RejectReason.WEAK_SIGNATURE
    assert judge(response_der, target=world.target, rules=SHA1_ALLOWED).status == "good"


@pytest.mark.parametrize("parameters", [None, b"\x30\x00"])
def test_pss_without_parameters_is_sha1(
    parameters: bytes | None, worlds: dict[str, World], judge: Judge, refuse: Refuse
) -> None:
    """RFC 4055 §3.1: the defaults are SHA-1, MGF1 with SHA-1 and 20 bytes; all of it may be absent."""
    world = worlds["rsa"]
    signed = pss_signed(world, "sha1", "sha1", 20)
    response_der = resigned(signed, PSS_OID, parameters)
    assert refuse(response_der, target=world.target).reason is RejectReason.WEAK_SIGNATURE
    assert judge(response_der, target=world.target, rules=SHA1_ALLOWED).status == "good"


@pytest.mark.parametrize("salt", [-1, MAX_SALT + 1, 2**40, 2**70])
def test_an_impossible_salt_is_refused(salt: int, worlds: dict[str, World], refuse: Refuse) -> None:
    """A number that no key can hold ends in a refusal, not in an overflow."""
    world = worlds["rsa"]
    response_der = resigned(world.respond(), PSS_OID, pss_parameters("sha256", "sha256", salt))
    assert refuse(response_der, target=world.target).reason in (RejectReason.WEAK_SIGNATURE, RejectReason.MALFORMED)


@given(st.binary(max_size=80))
def test_any_parameters_of_pss_are_read_or_refused(parameters: bytes) -> None:
    """Nothing but `UnreadableParameters` comes out."""
    try:
        element = raw(bytes((0x30, len(parameters))) + parameters)
        read_pss(algorithm(PSS_OID, asn1.encode_der(element)))
    except UnreadableParameters:
        pass


@given(
    st.sampled_from([*HASH_OIDS.values(), "1.2.840.113549.2.5"]),
    st.sampled_from([MGF1_OID, "1.2.840.113549.1.1.9"]),
    st.sampled_from([*HASH_OIDS.values(), "1.2.840.113549.2.5"]),
    st.integers(),
)
def test_pss_parameters_are_read_as_they_are_or_refused(digest: str, mask: str, mask_hash: str, salt: int) -> None:
    """Whatever is known is read; MD5, another mask and a salt beyond all keys are refused."""
    parameters = PssParameters(
        digest=algorithm(digest, NULL),
        mask=algorithm(mask, asn1.encode_der(algorithm(mask_hash, NULL))),
        salt_length=salt,
    )
    element = algorithm(PSS_OID, asn1.encode_der(parameters))
    known = set(HASH_OIDS.values())
    if digest in known and mask_hash in known and mask == MGF1_OID and 0 <= salt <= MAX_SALT:
        if "1.3.14.3.2.26" in (digest, mask_hash) or salt == 20:
            return  # defaults that are spelled out are no DER
        pss = read_pss(element)
        assert HASH_OIDS[pss.digest.name] == digest
        assert HASH_OIDS[pss.mask.name] == mask_hash
        assert pss.salt_length == salt
    else:
        with pytest.raises(UnreadableParameters):
            read_pss(element)


def test_another_trailer_of_pss_is_refused() -> None:
    """RFC 4055 §3.1 knows one, and no library makes another."""
    parameters = PSSParameters(hash_algorithm=None, mask_algorithm=None, salt_length=20, trailer=2)
    with pytest.raises(UnreadableParameters, match="trailer"):
        read_pss(algorithm(PSS_OID, asn1.encode_der(parameters)))


def test_the_shape_of_pss_is_the_one_of_the_standard() -> None:
    """An AlgorithmIdentifier with all defaults left out reads as the defaults."""
    element = algorithm(PSS_OID, b"\x30\x00")
    parameters = element.parse(PSSAlgorithm).parameters
    assert (parameters.salt_length, parameters.trailer) == (20, 1)
    assert read_pss(element).digest.name == read_pss(element).mask.name == "sha1"


def test_a_scheme_fits_no_key_of_another_kind(worlds: dict[str, World]) -> None:
    """Also where there is no key at all."""
    scheme = Scheme(x509.ObjectIdentifier("1.2.840.113549.1.1.11"), hashes.SHA256(), padding.PKCS1v15())
    assert not scheme.fits(None, b"", b"")
    assert not scheme.fits(worlds["ec"].ca.key.public_key(), b"", b"")


def test_an_unknown_algorithm_is_weak() -> None:
    """Its text says which."""
    with pytest.raises(WeakAlgorithm, match=r"1\.2\.3\.4"):
        plain_scheme(x509.ObjectIdentifier("1.2.3.4"))
