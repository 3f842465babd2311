//! Codes of the area "platform": the charging network platform: REST, commands, billing.

codes! {
    BILL_ISSUED = "platform.bill_issued", Info, Nobody, "A finished transaction was priced and its charge detail record stored.", causes: [], remedy: "Nothing.";
}
