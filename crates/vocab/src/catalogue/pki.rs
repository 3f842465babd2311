//! Codes of the area "pki": issuing, storing and judging certificates.

codes! {
    DEV_PKI_CREATED = "pki.dev_pki_created", Notice, Nobody, "A development PKI was created because the data folder had none.", causes: [], remedy: "Nothing on a laptop; never use these keys in the field.";
}
