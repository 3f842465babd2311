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
}
