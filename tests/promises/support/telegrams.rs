//! Telegrams of a real OmniPower with the values that its display showed, and the set message that names it.
//!
//! Source: the documentation of the Python prototype; the meter's key is published there.

/// The meter's number.
pub const METER: &str = "32666857";

/// The meter's key.
pub const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";

/// A key that is not the meter's.
pub const WRONG_KEY: &str = "9A25139E3244CC2E391A8EF6B915B698";

/// 2.06 kWh, 3 W; compact.
pub const COMPACT_2_06: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";

/// 2.15 kWh, 3 W; compact.
pub const COMPACT_2_15: &str =
    "27442D2C5768663230028D206360DD0320C42B87F46FC048D42498B44B5E34F083E93E6AF1617631";

/// 2.15 kWh, 3 W; full.
pub const FULL_2_15: &str =
    "2D442D2C5768663230028D206461DD032038931D14B405536E0250592F8B908138D58602ECA676FF79E0CAF0B14D";

/// 2.15 kWh, 3 W; compact; a minute after the full one.
pub const COMPACT_LATER: &str =
    "27442D2C5768663230028D206562DD03200AC3AEA1E613DD9AF1A75C68CDEDD5FDD2617C1E71A9D0";

/// The set message that the prototype's documentation shows.
pub fn set_message() -> String {
    set_message_with_key(KEY)
}

/// The same for meters with these serial numbers.
pub fn set_message_of(serial_numbers: impl Iterator<Item = String>) -> String {
    let entries = serial_numbers.map(|number| {
        let one = set_message().replace(METER, &number);
        one.trim_matches(['[', ']']).to_owned()
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(","))
}

/// The same with another key.
pub fn set_message_with_key(key: &str) -> String {
    format!(
        r#"[{{"deviceId": "{METER}", "manufacturerKey": "kam", "encryptionKey": "{key}", "manufacturerDeviceKey": "OmniPower1"}}]"#
    )
}
