"""Loads an exported bundle with Josev's own functions. PKI_PATH names the folder and ends in a slash."""
from iso15118.shared import security as s
from iso15118.shared.settings import SettingKey, load_shared_settings, shared_settings

load_shared_settings()
for key, password in (
    ("SECC_LEAF_PEM", "SECC_LEAF_KEY_PASSWORD"),
    ("OEM_LEAF_PEM", "OEM_LEAF_KEY_PASSWORD"),
    ("CONTRACT_LEAF_PEM", "CONTRACT_LEAF_KEY_PASSWORD"),
    ("CPS_LEAF_PEM", "CPS_LEAF_KEY_PASSWORD"),
    ("MO_SUB_CA2_PEM", "MO_SUB_CA2_PASSWORD"),
):
    s.load_priv_key(getattr(s.KeyPath, key), s.KeyEncoding.PEM, getattr(s.KeyPasswordPath, password))
for tls13 in (False, True):
    shared_settings[SettingKey.ENABLE_TLS_1_3] = tls13
    for server in (True, False):
        assert s.get_ssl_context(server) is not None, (tls13, server)
chains = (
    ("SECC_LEAF", "CPO_SUB_CA2", "CPO_SUB_CA1", "V2G_ROOT"),
    ("OEM_LEAF", "OEM_SUB_CA2", "OEM_SUB_CA1", "OEM_ROOT"),
    ("CONTRACT_LEAF", "MO_SUB_CA2", "MO_SUB_CA1", "MO_ROOT"),
    ("CPS_LEAF", "CPS_SUB_CA2", "CPS_SUB_CA1", "V2G_ROOT"),
)
for names in chains:
    leaf, sub2, sub1, root = (s.load_cert(getattr(s.CertPath, f"{name}_DER")) for name in names)
    try:
        s.verify_certs(leaf, [sub2, sub1], root)
    except s.CertSignatureError as error:
        raise SystemExit(f"{names}: {error.subject} by {error.issuer}") from error
print(f"verified {len(chains)} chains")
