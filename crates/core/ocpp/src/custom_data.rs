//! The one open type of OCPP 2.x.

use serde_json::{Map, Value};

use crate::codec::{Field as _, take};
use crate::message::Payload;
use crate::schema::{Field, Kind, Object};

/// Vendor data, allowed in every object of OCPP 2.x. Kept whole: what we do not know goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomData {
    /// Who defines the rest (at most 255 characters).
    pub vendor_id: String,
    /// Everything else.
    pub other: Map<String, Value>,
}

static CUSTOM_DATA: Object = Object {
    name: "CustomData",
    fields: &[Field {
        name: "vendorId",
        required: true,
        kind: Kind::Text { max: Some(255) },
    }],
    open: true,
};

impl CustomData {
    /// The table of this type.
    pub const SCHEMA: &'static Object = &CUSTOM_DATA;
}

impl Payload for CustomData {
    const SCHEMA: &'static Object = &CUSTOM_DATA;

    fn read(mut map: Map<String, Value>) -> Option<Self> {
        let vendor_id = take(&mut map, "vendorId")?;
        Some(Self {
            vendor_id,
            other: map,
        })
    }

    fn write(&self) -> Map<String, Value> {
        let mut map = self.other.clone();
        map.insert("vendorId".to_owned(), self.vendor_id.to_value());
        map
    }
}
