"""Judges a signed bill with other people's libraries only: rfc8785 for the canonical form, jwcrypto for the
signature, pyocmf for the meter's record.

usage: judge.py SIGNED_BILL.json    prints one JSON object
"""

import base64
import json
import sys

import rfc8785
from cryptography import x509
from jwcrypto import jwk, jws
from pyocmf import OCMF


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issuer_signed(bill: dict) -> bool:
    header, nothing, signature = bill["jws"].split(".")
    assert nothing == "", "the signature is not detached"
    protected = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    leaf = x509.load_der_x509_certificate(base64.b64decode(protected["x5c"][0]))
    key = jwk.JWK.from_pyca(leaf.public_key())
    payload = b64url(rfc8785.dumps(bill["cdr"]))
    token = jws.JWS()
    token.deserialize(f"{header}.{payload}.{signature}")
    try:
        token.verify(key, alg="ES256")
    except jws.InvalidJWSSignature:
        return False
    return True


def meter_signed(cdr: dict) -> dict:
    data = cdr["signed_data"]
    record = base64.b64decode(data["signed_values"][0]["signed_data"]).decode()
    # Strict: every deviation from the specification is an error.
    ocmf = OCMF.from_string(record, strict=True)
    readings = [
        {"tx": str(r.TX.value), "obis": str(r.RI), "kwh": str(r.RV), "at": r.timestamp.isoformat()}
        for r in ocmf.payload.RD
    ]
    return {
        "verified": ocmf.verify_signature(data["public_key"]),
        "page": ocmf.payload.PG,
        "identification": ocmf.payload.ID,
        "readings": readings,
    }


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        bill = json.load(file)
    print(json.dumps({"issuer": issuer_signed(bill), "meter": meter_signed(bill["cdr"])}))


if __name__ == "__main__":
    main()
