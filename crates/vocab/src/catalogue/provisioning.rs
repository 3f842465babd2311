//! Codes of the area "provisioning": contracts on their way into vehicles.

codes! {
    CONTRACT_DELIVERED = "provisioning.contract_delivered", Info, Nobody, "A contract certificate and its encrypted key were handed out for a vehicle.", causes: [], remedy: "Nothing.";
    CONTRACT_MADE = "provisioning.contract_made", Info, Nobody, "Contract data was made for a vehicle: certificate, encrypted key and the provisioning service's signature.", causes: [], remedy: "Nothing.";
    REQUEST_MALFORMED = "provisioning.request_malformed", Warning, Vehicle, "A request for a contract cannot be read.",
        causes: ["it was cut short or altered on the way", "it belongs to another standard than stated", "hostile input"],
        remedy: "Look at it with `gridlatch decode`; compare the stated schema with the message.";
    REQUEST_REPLAYED = "provisioning.request_replayed", Warning, Vehicle, "A request for another contract certificate came again long after it was answered.",
        causes: ["somebody sends a recorded message", "a station kept a message and sends it late", "the vehicle's clock and random numbers repeat themselves"],
        remedy: "Nothing if it stays alone: no certificate was made. The vehicle signs a new request when it needs one.";
    ANSWER_MALFORMED = "provisioning.answer_malformed", Error, Platform, "What the provisioning service answered cannot be passed on to the vehicle.",
        causes: ["it is longer than any such message", "it answers another request, or by another standard", "it was cut short on the way"],
        remedy: "Compare the bytes with `gridlatch decode`; the vehicle was told that there is no contract.";
    SIGNATURE_INVALID = "provisioning.signature_invalid", Error, Vehicle, "A provisioning message is not signed by the key of the certificate it names.",
        causes: ["the message was altered on the way", "the vehicle signs with another key than its provisioning certificate's", "an attempt to obtain somebody else's contract"],
        remedy: "Compare the certificate with the one in the provisioning pool; treat repeated occurrences as an attack.";
    CERTIFICATE_REFUSED = "provisioning.certificate_refused", Error, Pki, "The certificate by which a vehicle asks for a contract is not believed.",
        causes: ["its manufacturer's root is not in the root pool", "it has expired or was revoked", "its sub-CA certificates are not in the provisioning pool"],
        remedy: "The event names the certificate and the rule; put the root or the chain into the pools.";
    VEHICLE_UNKNOWN = "provisioning.vehicle_unknown", Warning, Pki, "A vehicle asks for a contract whose provisioning certificate is in no pool.",
        causes: ["the manufacturer has not published it", "it was withdrawn", "the certificate in the pool is another one"],
        remedy: "Have the manufacturer publish the provisioning certificate (PUT /v1/oem/provCerts).";
    NO_CONTRACT = "provisioning.no_contract", Notice, Operator, "There is no contract for this vehicle.",
        causes: ["nobody concluded one", "the operator withdrew it", "it is signed for a V2G root this vehicle does not know"],
        remedy: "Have the mobility operator make one (PUT /v1/cps/generate/signedContractData).";
    KEY_MISMATCH = "provisioning.key_mismatch", Error, Pki, "A delivered contract key cannot be opened or is not its certificate's.",
        causes: ["it was encrypted for another vehicle", "the issuer mixed up two contracts", "another key derivation than this side's (ISO 15118-20)"],
        remedy: "Have the contract made again for the vehicle's present provisioning certificate.";
    UNMAKEABLE = "provisioning.unmakeable", Error, Operator, "Contract data does not fit the messages of its standard.",
        causes: ["a chain that is too long or a certificate that is too large", "a key of the other generation"],
        remedy: "Issue the contract by the profile of the standard the vehicle speaks.";
    SIGNER_UNAVAILABLE = "provisioning.signer_unavailable", Error, Operator, "The key of the provisioning service could not sign.",
        causes: ["the key file is missing or exposed", "the token or TPM that holds it does not answer"],
        remedy: "Restore the key; contract data is never signed with another one.";
}
