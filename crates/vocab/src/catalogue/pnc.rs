//! Codes of the area "pnc": Plug & Charge: contract certificates, signatures, challenges.

codes! {
    AUTHORIZED = "pnc.authorized", Info, Nobody, "The contract certificate, the signature over this session's challenge and the platform's verdict are all in order.", causes: [], remedy: "Nothing.";
    SIGNATURE_INVALID = "pnc.signature_invalid", Error, Vehicle, "The vehicle's signature over this session's challenge does not verify.",
        causes: ["the vehicle signed with another key than its contract certificate names", "a replayed signature"],
        remedy: "Reinstall the contract certificate in the vehicle; if it recurs, treat it as an attack.",
        aliases: ["FAILED_SignatureError"];
    CHALLENGE_INVALID = "pnc.challenge_invalid", Error, Vehicle, "The challenge the vehicle returned is not the one this station gave it.",
        causes: ["a replayed or relayed authorisation", "a defective vehicle"],
        remedy: "Treat repeated occurrences at one station as a relay attempt.",
        aliases: ["FAILED_ChallengeInvalid"];
    CONTRACT_MALFORMED = "pnc.contract_malformed", Error, Vehicle, "The contract certificate chain of the vehicle cannot be read.",
        causes: ["a damaged certificate in the vehicle", "an algorithm ISO 15118 does not allow", "a hostile peer"],
        remedy: "Reinstall the contract certificate in the vehicle.",
        aliases: ["FAILED_CertChainError"];
    CONTRACT_EXPIRED = "pnc.contract_expired", Error, Pki, "The contract certificate is outside its validity period.",
        causes: ["the contract was not renewed", "the clock of the station is wrong"],
        remedy: "Check the station's clock; then renew the contract certificate.",
        aliases: ["FAILED_CertificateExpired"];
    CONTRACT_UNTRUSTED = "pnc.contract_untrusted", Error, Pki, "The contract certificate chain did not pass the checks of this station.",
        causes: ["the mobility operator's root is not installed here", "a sub-CA certificate is missing", "the chain breaks a rule of its profile"],
        remedy: "The event names the certificate and the rule; install the missing root or have the contract reissued.";
    EMAID_MISMATCH = "pnc.emaid_mismatch", Error, Vehicle, "The contract id the vehicle named is not the one in its contract certificate.",
        causes: ["a defective vehicle", "an attempt to charge on somebody else's contract"],
        remedy: "Treat repeated occurrences as an attack.";
    RECEIPT_INVALID = "pnc.receipt_invalid", Error, Vehicle, "The signed meter receipt does not verify or names another reading than the station's.",
        causes: ["a defective vehicle", "an attempt to falsify the bill"],
        remedy: "The session was stopped; keep the record and compare it with the meter.",
        aliases: ["FAILED_MeteringSignatureNotValid"];
}
