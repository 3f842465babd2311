//! Codes of the area "platform": the charging network platform: REST, commands, billing.

codes! {
    BILL_ISSUED = "platform.bill_issued", Info, Nobody, "A finished transaction was priced and its charge detail record stored.", causes: [], remedy: "Nothing.";
    BILL_MISMATCH = "platform.bill_mismatch", Error, Platform, "A bill does not follow from its own lines.",
        causes: ["the stored bill was changed", "it was made by another version with other rounding"],
        remedy: "Price the transaction again from its meter values and compare.";
    BILL_REFUSED = "platform.bill_refused", Error, Platform, "A finished transaction could not be priced.",
        causes: ["there are no meter values", "amounts or periods out of any range"],
        remedy: "Read the transaction's meter values; bill it by hand.";
    METER_REGISTER_FELL = "platform.meter_register_fell", Error, Station, "A meter register fell within a transaction; the transaction is not billed.",
        causes: ["the meter was replaced or reset", "meter values were tampered with", "samples arrived under the wrong transaction"],
        remedy: "Inspect the station's meter; bill the transaction by hand from signed values.";
    METER_TIME_BACKWARDS = "platform.meter_time_backwards", Error, Station, "Meter values of a transaction are not in the order of time; the transaction is not billed.",
        causes: ["the station's clock was set back", "replayed meter values"],
        remedy: "Check the station's time source; bill the transaction by hand.";
    TARIFF_INVALID = "platform.tariff_invalid", Error, Operator, "A tariff cannot be priced.",
        causes: ["a restriction on something that is not metered", "a malformed time, date, currency or step size"],
        remedy: "Correct the tariff; the message names the problem.";
}
