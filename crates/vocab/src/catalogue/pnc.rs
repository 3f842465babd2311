//! Codes of the area "pnc": Plug & Charge: contract certificates, signatures, challenges.

codes! {
    AUTHORIZED = "pnc.authorized", Info, Nobody, "The contract certificate, the signature over this session's challenge and the platform's verdict are all in order.", causes: [], remedy: "Nothing.";
    CONTRACT_ASKED = "pnc.contract_asked", Info, Nobody, "A vehicle asks for a contract; the station passes its request on to the platform.", causes: [], remedy: "Nothing.";
    CONTRACT_PASSED_ON = "pnc.contract_passed_on", Info, Nobody, "A contract of the provisioning service was passed on to the vehicle.", causes: [], remedy: "Nothing.";
    CONTRACT_INSTALLED = "pnc.contract_installed", Notice, Nobody, "The vehicle verified, opened and keeps a new contract.", causes: [], remedy: "Nothing.";
    CONTRACT_NOT_PROVIDED = "pnc.contract_not_provided", Warning, Platform, "A vehicle asked for a contract and got none.",
        causes: ["nobody concluded a contract for this vehicle", "the platform or its provisioning service could not be reached in time", "this station does not pass such requests on"],
        remedy: "The event says who refused; look for the provisioning service's event of the same moment.";
    OFFER_UNTRUSTED = "pnc.offer_untrusted", Error, Pki, "The vehicle does not believe the contract it was offered.",
        causes: ["the provisioning service's chain does not lead to a V2G root of this vehicle", "the mobility operator's chain breaks its profile", "the contract id is not the certificate's"],
        remedy: "The event names the certificate and the rule; have the contract signed under a root the vehicle names.";
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
