"""Josev's own provisioning code, one operation per line on standard input, one answer per line in JSON.

ask        a signed CertificateInstallationReq for a provisioning certificate
receive    decodes a response, verifies the signature and the chain of the provisioning service, opens the key
provide    a CertificateInstallationRes as Josev's station makes it
"""
import base64
import json
import os
import sys

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from iso15118.shared.settings import SettingKey, shared_settings

shared_settings[SettingKey.MESSAGE_LOG_JSON] = False
shared_settings[SettingKey.MESSAGE_LOG_EXI] = False

from iso15118.shared import security as s  # noqa: E402
from iso15118.shared.exi_codec import EXI  # noqa: E402
from iso15118.shared.exificient_exi_codec import ExificientEXICodec  # noqa: E402
from iso15118.shared.messages.enums import Namespace  # noqa: E402
from iso15118.shared.messages.iso15118_2 import body as b  # noqa: E402
from iso15118.shared.messages.iso15118_2 import datatypes as d  # noqa: E402
from iso15118.shared.messages.iso15118_2.header import MessageHeader  # noqa: E402
from iso15118.shared.messages.iso15118_2.msgdef import V2GMessage  # noqa: E402
from iso15118.shared.messages.xmldsig import X509IssuerSerial  # noqa: E402

CODEC = ExificientEXICodec()
EXI().set_exi_codec(CODEC)
NS = Namespace.ISO_V2_MSG_DEF


def raw(text):
    return base64.b64decode(text)


def key(pem):
    return load_pem_private_key(pem.encode(), None)


def message(session, name, element, signature):
    header = MessageHeader(session_id=session, signature=signature)
    return EXI().to_exi(V2GMessage(header=header, body=b.Body(**{name: element})), NS)


def signed(elements, signer):
    return s.create_signature([(e.id, EXI().to_exi(e, NS)) for e in elements], signer)


def ask(job):
    roots = [
        X509IssuerSerial(x509_issuer_name=r["issuer"], x509_serial_number=r["serial"]) for r in job["roots"]
    ]
    request = b.CertificateInstallationReq(
        id="id1",
        oem_provisioning_cert=raw(job["certificate"]),
        list_of_root_cert_ids=d.RootCertificateIDList(x509_issuer_serials=roots),
    )
    signature = signed([request], key(job["key"]))
    exi = message("0102030405060708", "CertificateInstallationReq", request, signature)
    return {"exi": base64.b64encode(exi).decode()}


def receive(job):
    whole = EXI().from_exi(raw(job["exi"]), NS)
    answer = whole.body.certificate_installation_res
    elements = [answer.contract_cert_chain, answer.encrypted_private_key, answer.dh_public_key, answer.emaid]
    verified = s.verify_signature(
        signature=whole.header.signature,
        elements_to_sign=[(e.id, EXI().to_exi(e, NS)) for e in elements],
        leaf_cert=answer.cps_cert_chain.certificate,
        sub_ca_certs=answer.cps_cert_chain.sub_certificates.certificates,
        root_ca_cert=raw(job["root"]),
    )
    scalar = s.decrypt_priv_key(
        encrypted_priv_key_with_iv=answer.encrypted_private_key.value,
        ecdh_priv_key=key(job["key"]),
        ecdh_pub_key=s.to_ec_pub_key(answer.dh_public_key.value),
    )
    return {
        "verified": verified,
        "scalar": scalar.hex(),
        "emaid": answer.emaid.value,
        "code": answer.response_code.value,
        "contract": base64.b64encode(answer.contract_cert_chain.certificate).decode(),
    }


def provide(job):
    dh, encrypted = s.encrypt_priv_key(oem_prov_cert=raw(job["receiver"]), priv_key_to_encrypt=key(job["contract_key"]))
    chain, cps = [raw(c) for c in job["contract"]], [raw(c) for c in job["cps"]]
    answer = b.CertificateInstallationRes(
        response_code="OK",
        cps_cert_chain=d.CertificateChain(
            certificate=cps[0], sub_certificates=d.SubCertificates(certificates=cps[1:])
        ),
        contract_cert_chain=d.CertificateChain(
            id="id1", certificate=chain[0], sub_certificates=d.SubCertificates(certificates=chain[1:])
        ),
        encrypted_private_key=d.EncryptedPrivateKey(id="id2", value=encrypted),
        dh_public_key=d.DHPublicKey(id="id3", value=dh),
        emaid=d.EMAID(id="id4", value=job["emaid"]),
    )
    elements = [answer.contract_cert_chain, answer.encrypted_private_key, answer.dh_public_key, answer.emaid]
    exi = message("0102030405060708", "CertificateInstallationRes", answer, signed(elements, key(job["cps_key"])))
    return {"exi": base64.b64encode(exi).decode()}


for line in sys.stdin:
    job = json.loads(line)
    print("ANSWER " + json.dumps({"ask": ask, "receive": receive, "provide": provide}[job["do"]](job)), flush=True)

# The JVM of the codec would outlive us.
java = getattr(getattr(CODEC, "gateway", None), "java_process", None)
if java is not None:
    java.kill()
os._exit(0)
