//! Codes of the area "tls": TLS on the cable and on OCPP connections.

codes! {
    ESTABLISHED = "tls.established", Info, Nobody, "A TLS connection is up and the peer is verified as policy demands.", causes: [], remedy: "Nothing.";
    UNKNOWN_CA = "tls.unknown_ca", Error, Pki, "A certificate chain does not lead to any trusted root.",
        causes: ["vehicle and station belong to different V2G roots", "a sub-CA certificate is missing from the chain", "the root was renewed on one side only"],
        remedy: "Compare the roots both sides trust; then cross-sign, install a second leaf, or install the missing root.",
        aliases: ["tlsv1 alert unknown ca", "unknown_ca"];
}
