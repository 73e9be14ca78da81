use proptest::prelude::*;

use super::*;
use crate::tests::hex;
use crate::{Decimal, ErrorKind, Layer};

/// All records of a payload, with compact profiles unfolded.
fn read(payload: &str) -> Result<Vec<Record>, Error> {
    Records::new(Reader::in_layer(Layer::Apl, 0, &hex(payload))).read_all(false, |_| ())
}

fn one(payload: &str) -> Record {
    let mut records = read(payload).unwrap();
    assert_eq!(records.len(), 1, "{payload}");
    records.remove(0)
}

/// The value with its unit.
fn text(payload: &str) -> String {
    let record = one(payload);
    if record.value.is_absent() {
        return String::new();
    }
    let unit = record.unit_text.as_deref().unwrap_or(record.unit.symbol());
    format!("{} {unit}", record.value).trim().to_owned()
}

/// Quantity, value and unit.
fn meaning(payload: &str) -> String {
    format!("{} {}", one(payload).quantity, text(payload))
}

// VIF 13: volume in 0.001 m³.
#[test]
fn data_fields() {
    let cases = [
        ("00 13", ""),
        ("08 13", ""),
        ("01 13  FF", "-0.001 m³"),
        ("02 13  39 30", "12.345 m³"),
        ("02 13  FE FF", "-0.002 m³"),
        ("03 13  FF FF 7F", "8388.607 m³"),
        ("04 13  01 00 00 00", "0.001 m³"),
        ("06 13  FF FF FF FF FF FF", "-0.001 m³"),
        ("07 13  FF FF FF FF FF FF FF 7F", "9223372036854775.807 m³"),
        // 1.5 is 3FC00000.
        ("05 13  00 00 C0 3F", "0.0015 m³"),
        ("09 13  42", "0.042 m³"),
        ("0A 13  34 12", "1.234 m³"),
        ("0B 13  56 34 12", "123.456 m³"),
        ("0C 13  78 56 34 12", "12345.678 m³"),
        ("0E 13  12 90 78 56 34 12", "123456789.012 m³"),
    ];
    for (payload, value) in cases {
        assert_eq!(text(payload), value, "{payload}");
    }
}

// Annex A and B: the smallest signed integer, no number among the reals, digits above 9, are no values.
#[test]
fn what_marks_no_value() {
    let invalid = [
        "01 13  80",
        "02 13  00 80",
        "03 13  00 00 80",
        "04 13  00 00 00 80",
        "06 13  00 00 00 00 00 80",
        "07 13  00 00 00 00 00 00 00 80",
        "05 13  00 00 C0 7F",
        "05 13  00 00 80 FF",
        "09 13  1A",
        "0A 13  34 A2",
        "0C 13  FF FF FF FF",
        "0C 13  EE EE EE EE",
        "0C 78  FF FF FF FF",
        "02 6C  FF FF",
        "04 6D  80 00 21 11",
        // A record error says that there is no data: VIFE 15.
        "04 93 15  01 00 00 00",
        "0D 93 18  02 31 32",
        "0D 13  00",
        "0D 13  E0",
    ];
    for payload in invalid {
        assert!(one(payload).value.is_absent(), "{payload}");
    }
}

// F in the highest digit is a minus.
#[test]
fn negative_digits() {
    assert_eq!(text("0A 67  23 F1"), "-123 °C");
    assert_eq!(text("09 67  F5"), "-5 °C");
    assert_eq!(text("0C 13  56 34 12 F0"), "-123.456 m³");
}

// Table 5: texts are sent last character first; C0 and D0 count pairs of digits, E0 and F0 bytes.
#[test]
fn variable_length() {
    let cases = [
        ("0D 79  03 43 42 41", "ABC"),
        ("0D 79  02 E9 E8", "èé"),
        ("0D 79  04 00 00 42 41", "AB"),
        ("0D 13  C2 34 12", "1.234 m³"),
        ("0D 13  D2 34 12", "-1.234 m³"),
        (
            "0D 13  C9 99 99 99 99 99 99 99 99 99",
            "999999999999999.999 m³",
        ),
        ("0D 13  E3 FE FF FF", "-0.002 m³"),
        ("0D 13  E8 01 00 00 00 00 00 00 00", "0.001 m³"),
        ("0D 79  03 43 07 41", "430741"),
        ("0D FD 3B  03 01 02 03", "010203"),
        ("0D FD 76  02 AB CD", "ABCD"),
        (
            "0D 13  E9 01 02 03 04 05 06 07 08 09",
            "010203040506070809 m³",
        ),
    ];
    for (payload, value) in cases {
        assert_eq!(text(payload), value, "{payload}");
    }
    let long = |code: u8, bytes: usize| {
        let mut payload = vec![0x0D, 0x13, code];
        payload.resize(3 + bytes, 0x55);
        let records: Vec<_> = Records::new(Reader::new(&payload)).collect();
        matches!(&records[..], [Ok(Record { value: Value::Bytes(value), .. })] if value.len() == bytes)
    };
    assert!(long(0xF0, 16) && long(0xF4, 32) && long(0xF5, 48) && long(0xF6, 64));
    assert_eq!(
        read("0D 13  F7").unwrap_err().kind,
        ErrorKind::Reserved(0xF7)
    );
    assert_eq!(
        read("0D 13  CA").unwrap_err().kind,
        ErrorKind::Reserved(0xCA)
    );
    assert_eq!(
        read("0D 13  04 31").unwrap_err().kind,
        ErrorKind::Truncated { missing: 3 }
    );
}

#[test]
fn dates_by_size() {
    assert_eq!(text("02 6C  FE 04"), "2007-04-30");
    assert_eq!(text("04 6D  32 37 1F 15"), "2008-05-31T23:50");
    assert_eq!(text("06 6D  00 00 A0 41 11 35"), "2010-01-01T00:00:00");
    assert_eq!(text("03 6D  3B 1E 07"), "07:30:59");
    assert_eq!(text("02 FD 70  FE 04"), "2007-04-30");
    // The begin of the first crossing of an upper limit of the volume flow.
    let record = one("04 BB 4A  32 37 1F 15");
    assert_eq!(record.value.to_string(), "2008-05-31T23:50");
    assert_eq!(
        (record.quantity, record.unit),
        (Quantity::VolumeFlow, Unit::None)
    );
}

// DIF 8x: function in bits 4 and 5, storage's lowest bit in bit 6. DIFE: 4 bits of storage, 2 of tariff, 1 of subunit.
#[test]
fn data_information_block() {
    let place = |payload| {
        let record = one(payload);
        (
            record.storage,
            record.tariff,
            record.subunit,
            record.function.name(),
        )
    };
    assert_eq!(place("01 13 00"), (0, 0, 0, "instantaneous"));
    assert_eq!(place("51 13 00"), (1, 0, 0, "maximum"));
    assert_eq!(place("21 13 00"), (0, 0, 0, "minimum"));
    assert_eq!(place("31 13 00"), (0, 0, 0, "error"));
    // 0xA5: storage 5 << 1, tariff 2, more; 0x41: storage 1 << 5, subunit bit 1.
    assert_eq!(
        place("C1 A5 41 13 00"),
        (1 + 10 + 32, 2, 2, "instantaneous")
    );
    let ten = "FF".repeat(9) + "7F";
    assert_eq!(
        place(&format!("C1 {ten} 13 00")),
        ((1 << 41) - 1, (1 << 20) - 1, (1 << 10) - 1, "instantaneous")
    );
    let eleven = "FF".repeat(10) + "7F";
    assert_eq!(
        read(&format!("C1 {eleven} 13 00")).unwrap_err().kind,
        ErrorKind::Reserved(0x80)
    );
}

// VIF 13: 0.001 m³; the VIFE F0 (70 with more to follow): times 10^-6; ten VIFEs: 10^(-3 - 60) m³.
#[test]
fn at_most_ten_vifes() {
    let vifes = |count: usize| format!("01 93 {} 70 05", "F0 ".repeat(count - 1));
    let ten = Decimal::new(5, -63);
    assert_eq!(one(&vifes(10)).value, Value::Decimal(ten));
    for count in [11, 22, 23, 60] {
        assert_eq!(
            read(&vifes(count)).unwrap_err().kind,
            ErrorKind::Reserved(0x80)
        );
    }
}

// One byte 05 with every row of the primary table: its lowest and highest code.
#[test]
fn primary_table() {
    let cases = [
        ("00", "energy 0.005 Wh"),
        ("07", "energy 50000 Wh"),
        ("08", "energy 5 J"),
        ("0F", "energy 50000000 J"),
        ("10", "volume 0.000005 m³"),
        ("17", "volume 50 m³"),
        ("18", "mass 0.005 kg"),
        ("1F", "mass 50000 kg"),
        ("20", "on_time 5 s"),
        ("21", "on_time 5 min"),
        ("22", "on_time 5 h"),
        ("23", "on_time 5 d"),
        ("24", "operating_time 5 s"),
        ("27", "operating_time 5 d"),
        ("28", "power 0.005 W"),
        ("2F", "power 50000 W"),
        ("30", "power 5 J/h"),
        ("37", "power 50000000 J/h"),
        ("38", "volume_flow 0.000005 m³/h"),
        ("3F", "volume_flow 50 m³/h"),
        ("40", "volume_flow 0.0000005 m³/min"),
        ("47", "volume_flow 5 m³/min"),
        ("48", "volume_flow 0.000000005 m³/s"),
        ("4F", "volume_flow 0.05 m³/s"),
        ("50", "mass_flow 0.005 kg/h"),
        ("57", "mass_flow 50000 kg/h"),
        ("58", "flow_temperature 0.005 °C"),
        ("5B", "flow_temperature 5 °C"),
        ("5C", "return_temperature 0.005 °C"),
        ("5F", "return_temperature 5 °C"),
        ("60", "temperature_difference 0.005 K"),
        ("63", "temperature_difference 5 K"),
        ("64", "external_temperature 0.005 °C"),
        ("67", "external_temperature 5 °C"),
        ("68", "pressure 0.005 bar"),
        ("6B", "pressure 5 bar"),
        ("6E", "heat_cost_allocation 5 HCA"),
        ("6F", "reserved_6f 5"),
        ("70", "averaging_duration 5 s"),
        ("73", "averaging_duration 5 d"),
        ("74", "actuality_duration 5 s"),
        ("77", "actuality_duration 5 d"),
        ("78", "fabrication_number 5"),
        ("79", "enhanced_identification 5"),
        ("7A", "bus_address 5"),
        ("7F", "manufacturer 5"),
    ];
    for (vif, expected) in cases {
        assert_eq!(meaning(&format!("01 {vif} 05")), expected);
    }
}

#[test]
fn first_extension_table() {
    let cases = [
        ("00", "energy 500000 Wh"),
        ("01", "energy 5000000 Wh"),
        ("02", "reactive_energy 5000 varh"),
        ("05", "apparent_energy 50000 VAh"),
        ("08", "energy 500000000 J"),
        ("09", "energy 5000000000 J"),
        ("0C", "energy 500000 cal"),
        ("0F", "energy 500000000 cal"),
        ("10", "volume 500 m³"),
        ("11", "volume 5000 m³"),
        ("12", "reserved_fb12 5"),
        ("14", "reactive_power 5 var"),
        ("17", "reactive_power 5000 var"),
        ("18", "mass 500000 kg"),
        ("19", "mass 5000000 kg"),
        ("1A", "relative_humidity 0.5 %"),
        ("1B", "relative_humidity 5 %"),
        ("20", "volume 5 ft³"),
        ("21", "volume 0.5 ft³"),
        ("22", "volume 0.5 gal"),
        ("23", "volume 5 gal"),
        ("24", "volume_flow 0.005 gal/min"),
        ("25", "volume_flow 5 gal/min"),
        ("26", "volume_flow 5 gal/h"),
        ("28", "power 500000 W"),
        ("29", "power 5000000 W"),
        ("2A", "phase_angle_voltages 0.5 °"),
        ("2B", "phase_angle_current 0.5 °"),
        ("2C", "frequency 0.005 Hz"),
        ("2F", "frequency 5 Hz"),
        ("30", "power 500000000 J/h"),
        ("34", "apparent_power 5 VA"),
        ("37", "apparent_power 5000 VA"),
        ("58", "flow_temperature 0.005 °F"),
        ("5F", "return_temperature 5 °F"),
        ("63", "temperature_difference 5 °F"),
        ("67", "external_temperature 5 °F"),
        // 5 / 4096.
        ("68", "rating_factor 0.001220703125"),
        ("69", "rating_factor_output 5 W"),
        ("6E", "rating_factor_display 0.001220703125"),
        ("73", "temperature_limit 5 °F"),
        ("74", "temperature_limit 0.005 °C"),
        ("77", "temperature_limit 5 °C"),
        ("78", "cumulative_maximum_power 0.005 W"),
        ("7F", "cumulative_maximum_power 50000 W"),
    ];
    for (vif, expected) in cases {
        assert_eq!(meaning(&format!("01 FB {vif} 05")), expected);
    }
}

#[test]
fn second_extension_table() {
    let cases = [
        ("00", "credit 0.005 currency"),
        ("07", "debit 5 currency"),
        ("08", "message_number 5"),
        ("0C", "model_version 5"),
        ("17", "error_flags 5"),
        ("1F", "remote_control 5"),
        ("24", "storage_interval 5 s"),
        ("27", "storage_interval 5 d"),
        ("28", "storage_interval 5 month"),
        ("29", "storage_interval 5 y"),
        ("2C", "duration_since_readout 5 s"),
        ("31", "tariff_duration 5 min"),
        ("34", "tariff_period 5 s"),
        ("39", "tariff_period 5 y"),
        ("3A", "dimensionless 5"),
        ("3C", "transmission_period 5 s"),
        ("40", "voltage 0.000000005 V"),
        ("49", "voltage 5 V"),
        ("4F", "voltage 5000000 V"),
        ("50", "current 0.000000000005 A"),
        ("5F", "current 5000 A"),
        ("60", "reset_counter 5"),
        ("68", "duration_since_cumulation 5 h"),
        ("6B", "duration_since_cumulation 5 y"),
        ("6D", "battery_operating_time 5 d"),
        ("71", "radio_level 5 dBm"),
        ("74", "remaining_battery_life 5 d"),
        ("77", "reserved_fd77 5"),
        ("FD 00", "selected_application 5"),
        ("FD 02", "remaining_battery_life 5 month"),
        ("FD 03", "remaining_battery_life 5 y"),
        ("FD 04", "reserved_fd84 5"),
    ];
    for (vif, expected) in cases {
        assert_eq!(meaning(&format!("01 FD {vif} 05")), expected);
    }
    // Bits are unsigned and all of them may be set; identifications keep their zeros.
    assert_eq!(meaning("02 FD 17  FF FF"), "error_flags 65535");
    assert_eq!(meaning("0B FD 0F  07 01 01"), "software_version 010107");
    assert_eq!(meaning("0C 78  78 56 34 00"), "fabrication_number 00345678");
    assert_eq!(
        meaning("07 FD 17  00 00 00 00 00 00 00 80"),
        "error_flags 0000000000000080"
    );
}

// The unit comes as text, last character first: before the VIFEs in old meters, behind them in new ones.
#[test]
fn plain_text_units() {
    assert_eq!(
        meaning("02 FC 03 48 52 25 74  22 15"),
        "relative_humidity 54.1 %"
    );
    assert_eq!(
        meaning("02 FC 74 03 48 52 25  22 15"),
        "relative_humidity 54.1 %"
    );
    assert_eq!(meaning("02 7C 03 6D 70 70  22 01"), "value 290 ppm");
    assert_eq!(meaning("02 7C 04 78 75 6C 66  22 01"), "value 290 flux");
    assert_eq!(meaning("02 7C 03 68 57 6B  22 01"), "value 290 kWh");
}

#[test]
fn corrections_change_the_value() {
    // E111 0nnn: times 10^(nnn - 6); E111 1101: times 1000; E111 10nn: plus 10^(nn - 3) units.
    assert_eq!(text("01 93 70  05"), "0.000000005 m³");
    assert_eq!(text("01 93 77  05"), "0.05 m³");
    assert_eq!(text("01 93 7D  05"), "5 m³");
    assert_eq!(text("01 DB 7B  05"), "6 °C");
    assert_eq!(text("01 DB 79  05"), "5.01 °C");
    assert_eq!(text("01 93 F0 7D  05"), "0.000005 m³");
    assert!(one("01 93 70  05").qualifiers.is_empty());
}

#[test]
fn qualifiers_narrow_down() {
    let names = |payload| {
        let record = one(payload);
        let names: Vec<_> = record
            .qualifiers
            .iter()
            .map(|one| one.to_string())
            .collect();
        format!("{} {}", names.join(" "), text(payload))
            .trim()
            .to_owned()
    };
    assert_eq!(names("01 83 3C  05"), "backward 5 Wh");
    assert_eq!(names("02 FD C9 FC 02  E7 00"), "phase_l2 231 V");
    assert_eq!(names("01 83 FC 11  FE"), "254 Wh");
    assert_eq!(names("01 83 FC 92 3B  FF"), "forward 255 Wh");
    assert_eq!(names("01 BB 48  05"), "upper_limit 0.005 m³/h");
    assert_eq!(names("01 BB 49  05"), "upper_exceeds 5");
    assert_eq!(names("01 BB 5E  05"), "last_upper_exceed_duration 5 h");
    assert_eq!(names("01 BB 61  05"), "first_duration 5 min");
    assert_eq!(names("01 83 3D  05"), "non_metric 5");
    assert_eq!(
        names("04 FF A0 15  05 00 00 00"),
        "manufacturer_20 manufacturer_15 5"
    );
    assert_eq!(names("02 FD C9 FF 01  EE 00"), "manufacturer_01 238 V");
    let eleven = "BC".repeat(11) + "3C";
    assert!(read(&format!("01 83 {eleven} 05")).is_err());
}

#[test]
fn fillers_and_manufacturers_bytes() {
    let records = read("2F 2F 01 13 05 2F 0F AA BB").unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].quantity, Quantity::ManufacturerData);
    assert_eq!(records[1].value, Value::Bytes(Box::from([0xAA, 0xBB])));
    assert_eq!(read("2F 2F 0F").unwrap(), []);
    for (payload, expected) in [
        ("01 13 05 1F", true),
        ("01 13 05 0F", false),
        ("01 13 05", false),
    ] {
        let bytes = hex(payload);
        let mut records = Records::new(Reader::new(&bytes));
        assert_eq!(records.by_ref().count(), 1);
        assert_eq!(records.more_follow(), expected);
    }
    for dif in ["3F", "4F", "7F", "8F", "FF"] {
        assert!(matches!(
            read(&format!("{dif} 13 05")).unwrap_err().kind,
            ErrorKind::Reserved(_)
        ));
    }
}

#[test]
fn errors_say_where_and_end_the_row() {
    let bytes = hex("01 13 05  04 13 01 02");
    let mut records = Records::new(Reader::in_layer(Layer::Apl, 20, &bytes));
    assert!(records.next().unwrap().is_ok());
    let error = records.next().unwrap().unwrap_err();
    assert_eq!((error.layer, error.offset), (Layer::Apl, 25));
    assert_eq!(error.kind, ErrorKind::Truncated { missing: 2 });
    assert!(records.next().is_none());
}

/// The unfolded values as `storage: value @ time`.
fn series(payload: &str) -> Vec<String> {
    read(payload)
        .unwrap()
        .iter()
        .filter(|record| record.storage > 0 && record.unit != Unit::None)
        .map(|record| {
            let time = record
                .time
                .map(|time| format!(" @ {time}"))
                .unwrap_or_default();
            format!("{}: {}{time}", record.storage, record.value)
        })
        .collect()
}

// The examples of the KNX RF metering specification, Annex B.5.
#[test]
fn compact_profiles_of_the_standard() {
    let with_registers = "86 80 01 6D 00 00 A0 41 11 35  84 90 01 03 F0 49 02 00
        8D 90 01 83 1E 0A 04 FE A0 86 01 00 D0 FB 01 00";
    // The example's spacing byte 04 is seconds with value 254, which its own table reserves; months are 34.
    assert_eq!(read(with_registers).unwrap().len(), 3);
    assert_eq!(
        series(&with_registers.replace("04 FE", "34 FE")),
        [
            "32: 150000",
            "33: 100000 @ 2010-02-01T00:00:00",
            "34: 130000 @ 2010-03-01T00:00:00"
        ]
    );
    assert_eq!(
        series("84 04 6D 00 20 41 11  8B 04 15 00 30 12  8D 04 95 1F 05 69 01 03 02 11"),
        [
            "8: 12300",
            "9: 12300.3 @ 2010-01-01T01:00",
            "10: 12300.5 @ 2010-01-01T02:00",
            "11: 12301.6 @ 2010-01-01T03:00"
        ]
    );
}

// 1013 l on 2008-05-31, monthly increments of 258, 332, 214 and 144 l: OMS, volume 2, Annex G, table G.7.
#[test]
fn inverse_compact_profile() {
    assert_eq!(
        series(
            "82 04 6C 1F 15  84 04 13 F5 03 00 00  8D 04 93 13 0A 72 FE 02 01 4C 01 D6 00 90 00"
        ),
        [
            "8: 1.013",
            "9: 0.755 @ 2008-04-30",
            "10: 0.423 @ 2008-03-31",
            "11: 0.209 @ 2008-02-29",
            "12: 0.065 @ 2008-01-31"
        ]
    );
}

#[test]
fn profiles_by_mode_and_spacing() {
    let base = "82 04 6C 1F 15  84 04 13 E8 03 00 00";
    let after = |profile: &str| series(&format!("{base} {profile}")).split_off(1);
    // Decrements forward, and signed differences: 51 - 10 = 1 byte, every day.
    assert_eq!(
        after("8D 04 93 1F 04 B1 01 01 02"),
        ["9: 0.999 @ 2008-06-01", "10: 0.997 @ 2008-06-02"]
    );
    assert_eq!(
        after("8D 04 93 1F 04 F1 02 FF 05"),
        ["9: 0.999 @ 2008-06-02", "10: 1.004 @ 2008-06-04"]
    );
    // Decrements into the past: older values are larger.
    assert_eq!(
        after("8D 04 93 13 04 B1 01 01 02"),
        ["9: 1.001 @ 2008-05-30", "10: 1.003 @ 2008-05-29"]
    );
    // Every quarter, absolute; an invalid value is absent and harms no other.
    assert_eq!(
        after("8D 04 93 1F 08 22 FE 07 00 00 80 09 00"),
        [
            "9: 0.007 @ 2008-08-31",
            "10:  @ 2008-11-30",
            "11: 0.009 @ 2009-02-28"
        ]
    );
    // Half months.
    assert_eq!(
        after("8D 04 93 13 04 31 FD 07 09"),
        ["9: 0.007 @ 2008-05-15", "10: 0.009 @ 2008-04-30"]
    );
    // An invalid increment leaves all that count from it without value.
    assert_eq!(
        after("8D 04 93 1F 05 71 01 01 FF 01"),
        [
            "9: 1.001 @ 2008-06-01",
            "10:  @ 2008-06-02",
            "11:  @ 2008-06-03"
        ]
    );
    // A table, not spaced in time: the second column.
    let table = read("8D 04 93 1F 04 11 00 07 09").unwrap();
    assert_eq!((table.len(), table[1].subunit, table[1].time), (2, 1, None));
    // Empty, reserved spacing, no whole number of elements, elements without a length.
    assert_eq!(after("8D 04 93 1F 02 71 01"), [""; 0]);
    for odd in [
        "03 71 FF 01",
        "04 72 01 01",
        "03 7D 01 01",
        "03 70 01 01",
        "01 71",
    ] {
        let records = read(&format!("8D 04 93 1F {odd}"));
        let kept = records.is_ok_and(|records| matches!(records[0].value, Value::Bytes(_)));
        assert!(kept || odd == "04 72 01 01", "{odd}");
    }
    // Without a base value the first element stands for itself.
    assert_eq!(
        series("82 04 6C 1F 15  8D 04 93 1F 04 71 01 01 02"),
        ["9: 0.001 @ 2008-06-01", "10: 0.003 @ 2008-06-02"]
    );
}

// Storage 8 is of 2020-12-31, and its interval is one month: storage 9 is of 2020-11-30. Storage 1 is older than that
// series, and storage 10 has a date of its own.
#[test]
fn stored_values_dated_by_their_interval() {
    let records = "01 13 01  41 13 02  82 04 6C 9F 2C  81 04 FD 28 01  81 04 13 03  C1 04 13 04  82 05 6C 9F 2C
        81 05 13 05  C1 05 13 06";
    assert_eq!(
        series(records),
        [
            "1: 0.002",
            "8: 1",
            "8: 0.003",
            "9: 0.004 @ 2020-11-30",
            "10: 0.005",
            "11: 0.006 @ 2020-09-30"
        ]
    );
    // Five days; no interval; an interval without a date.
    assert_eq!(
        series("82 04 6C 9F 2C  81 04 FD 27 05  C1 04 13 04")[1],
        "9: 0.004 @ 2020-12-26"
    );
    assert_eq!(series("82 04 6C 9F 2C  C1 04 13 04"), ["9: 0.004"]);
    assert_eq!(series("81 04 FD 28 01  C1 04 13 04")[1], "9: 0.004");
    assert_eq!(
        series("82 04 6C 9F 2C  81 04 FD 28 00  C1 04 13 04")[1],
        "9: 0.004"
    );
}

#[test]
fn durations_of_errors_have_values() {
    assert_eq!(text("0A A6 18  12 00"), "12 h");
    assert_eq!(text("0A 86 18  12 00"), "");
}

#[test]
fn is_small() {
    assert!(size_of::<Record>() <= 88, "{}", size_of::<Record>());
}

/// Bytes of a number as the low four bits of the DIF say; `None` if it does not fit.
fn encode(field: u8, number: i64) -> Option<Vec<u8>> {
    let digits = |bytes: usize| {
        let mut left = number.unsigned_abs();
        let mut encoded: Vec<u8> = (0..bytes)
            .map(|_| {
                let pair = (left % 100) as u8;
                left /= 100;
                ((pair / 10) << 4) | (pair % 10)
            })
            .collect();
        let highest = encoded.last_mut()?;
        if number < 0 {
            if *highest > 0x0F {
                return None;
            }
            *highest |= 0xF0;
        }
        (left == 0).then_some(encoded)
    };
    let integer = |bytes: usize| {
        let shift = 64 - 8 * bytes;
        let fits = number << shift >> shift == number && number << shift != i64::MIN;
        fits.then(|| number.to_le_bytes()[..bytes].to_vec())
    };
    match field {
        1..=4 => integer(field.into()),
        6 => integer(6),
        7 => integer(8),
        9..=0xC => digits(usize::from(field) - 8),
        _ => digits(6),
    }
}

proptest! {
    #[test]
    fn numbers_read_back(
        number in prop_oneof![any::<i64>(), -100_000_i64..100_000],
        field in prop_oneof![Just(1_u8), Just(2), Just(3), Just(4), Just(6), Just(7), 9_u8..=0xC, Just(0xE)],
        vif in 0_u8..0x6C,
        storage in 0_u8..32, tariff in 0_u8..4, subunit in 0_u8..2,
    ) {
        let Some(value) = encode(field, number) else { return Ok(()) };
        let dif = 0x80 | storage << 6 & 0x40 | field;
        let mut payload = vec![dif, subunit << 6 | tariff << 4 | storage >> 1, vif];
        payload.extend(value);
        let records: Vec<_> = Records::new(Reader::new(&payload)).collect::<Result<_, _>>().unwrap();
        let exponent = vif::primary(vif).exponent;
        prop_assert_eq!(&records[0].value, &Value::Decimal(Decimal::new(number, exponent)));
        prop_assert_eq!(records[0].storage, u64::from(storage));
        prop_assert_eq!(records[0].tariff, u32::from(tariff));
        prop_assert_eq!(records[0].subunit, u16::from(subunit));
    }

    #[test]
    fn texts_read_back(text in "[ -~]{1,80}") {
        let mut payload = vec![0x0D, 0xFD, 0x10, text.len() as u8];
        payload.extend(text.bytes().rev());
        let records: Vec<_> = Records::new(Reader::new(&payload)).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&records[0].value, &Value::Text(text.into()));
    }

    #[test]
    fn any_bytes_give_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        bounded(&bytes);
    }

    // Bytes that look like records reach further than random ones.
    #[test]
    fn near_records_give_records_or_an_error(
        pieces in proptest::collection::vec(
            (0_u8..0x50, prop_oneof![0_u8..0x80, Just(0xFB), Just(0xFD), Just(0xFF), Just(0x93), Just(0xFC)],
             proptest::collection::vec(any::<u8>(), 0..8)),
            0..40,
        ),
    ) {
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(dif, vif, rest)| [vec![dif, vif], rest].concat()).collect();
        bounded(&bytes);
    }
}

/// What a parser must keep to for any input: it ends, and gives no more than the bytes can hold.
fn bounded(bytes: &[u8]) {
    let records: Vec<_> = Records::new(Reader::new(bytes)).collect();
    assert!(records.len() <= bytes.len() / 2 + 1);
    let unfolded = Records::new(Reader::new(bytes)).read_all(false, |_| ());
    if let Ok(unfolded) = unfolded {
        assert!(unfolded.len() <= bytes.len());
        for record in unfolded {
            let length = match &record.value {
                Value::Bytes(value) => value.len(),
                Value::Text(value) => value.chars().count(),
                _ => 0,
            };
            assert!(length <= 2 * bytes.len());
        }
    }
}
