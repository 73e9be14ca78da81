//! The record parser of m-bus-parser, which others use, reads the same from random lists of records; where it does not,
//! the reason is known.

use m_bus_application_layer::data_information::{DataType, FunctionField};
use m_bus_application_layer::{DataRecord, parse_data_records};
use proptest::prelude::*;
use wmbus::record::{Records, Value};
use wmbus::{Function, Reader, Record};

/// A record in the making: header and value apart, so that the reasons below can tell which is which.
#[derive(Clone, Debug)]
struct Sent {
    /// Low four bits: how the value is stored.
    dif: u8,
    difes: Vec<u8>,
    /// The VIF, with the code of another table behind FB and FD.
    vif: Vec<u8>,
    vifes: Vec<u8>,
    value: Vec<u8>,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let with_more = |byte: u8, more| if more { byte | 0x80 } else { byte };
        let mut bytes = vec![with_more(self.dif, !self.difes.is_empty())];
        for (position, dife) in self.difes.iter().enumerate() {
            bytes.push(with_more(*dife, position + 1 < self.difes.len()));
        }
        let codes: Vec<u8> = self.vif.iter().chain(&self.vifes).copied().collect();
        for (position, code) in codes.iter().enumerate() {
            bytes.push(with_more(*code, position + 1 < codes.len()));
        }
        bytes.extend(&self.value);
        bytes
    }

    /// Why the other parser says something else; `None` if it must say the same.
    fn known_difference(&self) -> Option<&'static str> {
        let is_integer = matches!(self.dif & 0x0F, 1..=4 | 6 | 7);
        let is_number_beyond = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 0x80 != 0);
        match self.vif[..] {
            [0x7D, 0x30 | 0x65 | 0x70] => {
                return Some(
                    "a date: it takes every year for 20xx, and any day for one of the calendar",
                );
            }
            [0x7B, 0x18 | 0x19] => return Some("it tells tonnes, we kilograms"),
            [0x7B, 0x68 | 0x6A..=0x6E] => return Some("it does not know that factors count 2^-12"),
            [0x7B, 0x22..=0x24] => {
                return Some("it does not know the American units of older editions");
            }
            [0x7D, 0x19 | 0x3B | 0x72 | 0x73 | 0x76] => return Some("bytes, no number"),
            _ => {}
        }
        let is_identification = matches!(self.vif[..], [0x78 | 0x79] | [0x7D, 0x0B..=0x16]);
        if is_identification && !is_integer && self.vifes.iter().any(|code| *code >= 0x70) {
            return Some("it computes with identifications, whose digits are no number");
        }
        let is_unsigned = matches!(self.vif[..], [0x78..=0x7A] | [0x7D, 0x08..=0x23 | 0x66]);
        if is_integer && is_unsigned && is_number_beyond(&self.value) {
            return Some("it takes all integers for signed");
        }
        let is_smallest = |bytes: &[u8]| {
            let (last, rest) = bytes.split_last().unwrap();
            *last == 0x80 && rest.iter().all(|byte| *byte == 0)
        };
        if is_integer && is_smallest(&self.value) {
            return Some("it does not know that the smallest integer marks an invalid value");
        }
        None
    }
}

fn record() -> impl Strategy<Value = Sent> {
    let low = prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14]);
    let difes = prop::collection::vec(0_u8..0x80, 0..3);
    let vif = prop_oneof![
        // Of dates the other parser takes as many bytes as it expects, whatever the DIF says; at reserved codes it ends.
        (0_u8..0x7B)
            .prop_filter("dates", |code| !matches!(code, 0x6C | 0x6D | 0x6F))
            .prop_map(|code| vec![code]),
        // FB and FD, without the bit that says that more follow.
        (0_u8..0x80).prop_map(|code| vec![0x7B, code]),
        (0_u8..0x7D).prop_map(|code| vec![0x7D, code]),
    ];
    let vifes = prop::collection::vec(
        prop::sample::select(vec![0x12_u8, 0x3B, 0x3C, 0x70, 0x73, 0x77, 0x7D]),
        0..3,
    );
    (low, 0_u8..8, difes, vif, vifes, any::<[u8; 8]>()).prop_map(
        |(low, high, difes, vif, vifes, random)| Sent {
            dif: low | (high << 4) & 0x70,
            difes,
            vif,
            vifes,
            value: value(low, random),
        },
    )
}

/// A value that is stored so. Digits are decimal, and real numbers have few of them: the other parser computes in binary
/// fractions.
fn value(low: u8, random: [u8; 8]) -> Vec<u8> {
    match low {
        5 => f32::from(i16::from_le_bytes([random[0], random[1]]))
            .to_le_bytes()
            .to_vec(),
        9.. => {
            let digits = random.iter().map(|byte| (byte % 10) * 16 + byte / 16 % 10);
            digits
                .take(if low == 14 { 6 } else { (low - 8).into() })
                .collect()
        }
        6 => random[..6].to_vec(),
        7 => random[..8].to_vec(),
        length => random[..length.into()].to_vec(),
    }
}

proptest! {
    #[test]
    fn is_the_same(sent in prop::collection::vec(record(), 1..8)) {
        let payload: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        let ours: Vec<Record> = Records::new(Reader::new(&payload)).map(Result::unwrap).collect();
        prop_assert_eq!(ours.len(), sent.len());
        let theirs: Vec<_> = parse_data_records(&payload).collect();
        prop_assert_eq!(theirs.len(), sent.len(), "{:02X?}", sent);
        for ((ours, theirs), sent) in ours.iter().zip(theirs).zip(&sent) {
            if sent.known_difference().is_some() {
                continue;
            }
            let theirs = theirs.unwrap();
            prop_assert_eq!(place_of(ours), their_place(&theirs), "{:02X?}", sent);
            let (ours, theirs) = (number(&ours.value), their_number(&theirs));
            let is_near = (ours - theirs).abs() <= 1e-9 * ours.abs().max(theirs.abs());
            prop_assert!(is_near, "{} is not {} in {:02X?}", ours, theirs, sent);
        }
    }
}

fn place_of(record: &Record) -> (u64, u64, u64, Function) {
    let Record {
        storage,
        tariff,
        subunit,
        function,
        ..
    } = *record;
    (storage, tariff.into(), subunit.into(), function)
}

fn their_place(record: &DataRecord<'_>) -> (u64, u64, u64, Function) {
    let information = record.data_information().unwrap();
    let function = match information.function_field {
        FunctionField::InstantaneousValue => Function::Instantaneous,
        FunctionField::MaximumValue => Function::Maximum,
        FunctionField::MinimumValue => Function::Minimum,
        FunctionField::ValueDuringErrorState => Function::Error,
        other => panic!("{other:?}"),
    };
    (
        information.storage_number,
        information.tariff,
        information.device,
        function,
    )
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Decimal(number) => number.to_string().parse().unwrap(),
        Value::Text(digits) => digits.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn their_number(record: &DataRecord<'_>) -> f64 {
    let Some(DataType::Number(number) | DataType::LossyNumber(number)) = record.value() else {
        panic!("{record:?}");
    };
    let information = record.value_information().unwrap();
    let exponent = i32::try_from(information.decimal_scale_exponent).unwrap();
    number * 10_f64.powi(exponent)
}
