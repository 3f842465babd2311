//! Codes of the area "bill": what signs a bill, and what signs the readings it rests on.

codes! {
    METER_KEY_REGISTERED = "bill.meter_key_registered", Notice, Nobody, "A meter's public key was registered for a station; readings signed with it are believed from now on.",
        causes: ["a new station", "a meter was replaced"],
        remedy: "Compare the fingerprint with the one printed on the meter.";
    METER_UNSIGNED = "bill.meter_unsigned", Warning, Station, "A transaction ended without signed readings although a meter key is registered for the station; its bill says so.",
        causes: ["the meter or its link inside the station failed", "somebody took the record out of the message"],
        remedy: "Ask the station for the record of this transaction; do not let the driver pay without one where the law asks for it.";
    METER_RECORD_MALFORMED = "bill.meter_record_malformed", Error, Station, "A signed reading is not a record that can be read; the bill says it is not verified.",
        causes: ["another format than OCMF", "the record was cut or changed on the way", "a defective meter"],
        remedy: "Read the record in the charge detail record; ask the station's maker.";
    METER_KEY_UNKNOWN = "bill.meter_key_unknown", Error, Station, "Readings are signed with a key that is not registered for their station; the bill says they are not verified.",
        causes: ["the meter was replaced and its key not registered", "somebody signs readings with a key of their own"],
        remedy: "Compare the fingerprint in the event with the meter; register the key only if it is printed there.";
    METER_SIGNATURE_INVALID = "bill.meter_signature_invalid", Error, Station, "The signature over meter readings is wrong: they are not what the meter signed.",
        causes: ["a reading was changed after it was signed", "a defective meter"],
        remedy: "Do not bill from these readings; read the meter at the station.";
    METER_RECORD_FOREIGN = "bill.meter_record_foreign", Error, Station, "A signed reading belongs to another session than the one it came with.",
        causes: ["a record of another session was replayed", "the station mixed up its outlets"],
        remedy: "Do not bill from this record; compare the station's log.";
    METER_RECORD_REPEATED = "bill.meter_record_repeated", Error, Station, "A meter's page number was used before: this record was shown for another session already.",
        causes: ["a record was replayed", "the meter lost its counter"],
        remedy: "Compare both sessions; a meter that counts from the beginning again must be replaced.";
    METER_READINGS_DIFFER = "bill.meter_readings_differ", Error, Station, "What the meter signed is not what the station reported during the session.",
        causes: ["meter values were changed on the way", "the station reports another meter than the one that signs"],
        remedy: "The signed readings count; correct the bill by hand.";
    METER_NOT_USABLE = "bill.meter_not_usable", Error, Station, "The meter itself says that its readings cannot be billed.",
        causes: ["the meter found a fault or a manipulation", "begin or end of the session is missing in the record"],
        remedy: "Inspect the meter; bill by hand.";
    SIGNING_FAILED = "bill.signing_failed", Critical, Operator, "A bill was not issued because it could not be signed.",
        causes: ["the key of the bill signer cannot be used", "its certificate does not fit the key"],
        remedy: "Repair the key; bills that wait are issued at the next start of the platform.";
    DOCUMENT_MALFORMED = "bill.document_malformed", Error, Operator, "A file is not a signed bill.",
        causes: ["another file", "it was cut, or edited by hand"],
        remedy: "Download the signed bill again.";
    SIGNATURE_INVALID = "bill.signature_invalid", Error, Platform, "The signature over a bill is wrong: it is not the bill that was signed.",
        causes: ["the bill was changed after it was signed", "the signature belongs to another bill"],
        remedy: "Ask whoever issued the bill for the original.";
    SIGNER_UNTRUSTED = "bill.signer_untrusted", Error, Pki, "A bill is signed, but the signer's certificate does not lead to the root that was given.",
        causes: ["another operator's root", "somebody signed a bill with a certificate of their own", "the certificate was not valid on the day of the bill"],
        remedy: "Ask the operator for the root of its bills, by another way than the bill itself.";
    SIGNER_REVOKED = "bill.signer_revoked", Error, Pki, "A bill is signed, but the signer's certificate was revoked before, or because its key was compromised.",
        causes: ["somebody signed with a key that was taken back", "the key was stolen: whoever has it can write any date into a bill"],
        remedy: "Ask the issuer for the bill under its new certificate.";
    TOTAL_DIFFERS = "bill.total_differs", Error, Platform, "A bill does not follow from the readings the meter signed and the tariff.",
        causes: ["a mistake in pricing", "the bill was made from other readings"],
        remedy: "Show the issuer what differs; the message names it.";
}
