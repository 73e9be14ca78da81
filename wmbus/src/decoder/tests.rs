use super::*;
use crate::ell::{Header, SessionNumber};
use crate::telegram::{AccessNumber, Authentication, Draft};
use crate::tests::hex;
use crate::{Address, Decimal, Unit};

/// Meter 32666857 of the project's documentation.
const METER: &str = "2D2C5768663230 02";
const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";
const FULL: &str =
    "2D442D2C5768663230028D206461DD032038931D14B405536E0250592F8B908138D58602ECA676FF79E0CAF0B14D";
const COMPACT: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";

fn decoder() -> Decoder {
    Decoder::new(Some(KEY.parse().unwrap()))
}

fn values(reading: &Reading) -> Vec<String> {
    let text = |record: &Record| format!("{} {}", record.value, record.unit);
    reading.records.iter().map(text).collect()
}

// The values that the meter's display showed.
#[test]
fn reads_captured_telegrams() {
    let full = decoder().decode(&hex(FULL)).unwrap();
    assert_eq!(values(&full), ["2150 Wh", "0 Wh", "3 W", "0 W"]);
    assert_eq!(full.authentication, Authentication::Crc);
    assert_eq!(full.session.unwrap().to_bytes(), [0x61, 0xDD, 0x03, 0x20]);
    let compact = decoder().decode(&hex(COMPACT)).unwrap();
    assert_eq!(values(&compact), ["2060 Wh", "0 Wh", "3 W", "0 W"]);
    assert_eq!(compact.access_number, Some(AccessNumber(0x2E)));
}

#[test]
fn publishes_channels_and_fields() {
    let mut decoder = decoder();
    let reading = decoder.decode(&hex(COMPACT)).unwrap();
    let profile = decoder.profile(reading.address).unwrap();
    let channels: Vec<_> = profile
        .channels
        .iter()
        .map(|channel| {
            let value = reading.channel(profile, channel).unwrap();
            (channel.number, channel.data_type.as_str(), value)
        })
        .collect();
    assert_eq!(
        channels,
        [
            (1, "accumulated-power", Decimal::new(206, -2)),
            (2, "accumulated-power", Decimal::ZERO),
            (3, "power", Decimal::from(3)),
            (4, "power", Decimal::ZERO),
        ]
    );
    let fields: Vec<_> = reading
        .fields(profile)
        .into_iter()
        .map(|field| (field.name, field.value.to_string(), field.unit))
        .collect();
    assert_eq!(
        fields[0],
        (
            "energy_import".to_owned(),
            "2060".to_owned(),
            Unit::WattHour
        )
    );
    assert_eq!(fields[3].0, "power_export");
    let unknown = Profile::unknown(reading.address.manufacturer);
    let names: Vec<_> = reading
        .fields(&unknown)
        .into_iter()
        .map(|field| field.name)
        .collect();
    assert_eq!(
        names,
        ["energy", "energy_backward", "power", "power_backward"]
    );
}

#[test]
fn refuses_wrong_keys_damage_and_strangers() {
    let mut telegram = hex(FULL);
    telegram[20] ^= 0x01;
    assert!(decoder().decode(&telegram).is_err());
    let mut telegram = hex(FULL);
    telegram[4] ^= 0x01;
    assert!(
        decoder().decode(&telegram).is_err(),
        "another meter's address"
    );
    let mut wrong = Decoder::new(Some("00000000000000000000000000000000".parse().unwrap()));
    assert_eq!(
        wrong.decode(&hex(FULL)).unwrap_err().kind,
        ErrorKind::KeyRejected
    );
    let without = Decoder::new(None).decode(&hex(FULL));
    assert_eq!(without.unwrap_err().kind, ErrorKind::KeyMissing);
}

/// A telegram of the meter with this payload, encrypted.
fn encrypted(ci: u8, payload: &[u8]) -> Vec<u8> {
    let address = Address::from_link(hex(METER).try_into().unwrap());
    let draft = Draft {
        ell: Some(Header {
            communication_control: 0x20,
            access_number: AccessNumber(7),
            receiver: None,
            session: SessionNumber::new(20_000, 1),
        }),
        ..Draft::new(address, ci, payload)
    };
    draft.encode(Some(&KEY.parse().unwrap())).unwrap()
}

#[test]
fn makes_both_checks_of_compact_frames() {
    let profile = Profiles::embedded();
    let address = Address::from_link(hex(METER).try_into().unwrap());
    let layout = &profile.find(address).unwrap().layouts[0];
    let values: [&[u8]; 4] = [
        &[1, 0, 0, 0],
        &[2, 0, 0, 0],
        &[3, 0, 0, 0],
        &[0xFE, 0xFF, 0xFF, 0xFF],
    ];
    let frame = layout.compact(&values);
    let reading = decoder().decode(&encrypted(0x79, &frame)).unwrap();
    assert_eq!(
        self::values(&reading),
        ["10 Wh", "20 Wh", "3 W", "4294967294 W"]
    );
    let full = decoder()
        .decode(&encrypted(0x78, &layout.full(&values)))
        .unwrap();
    assert_eq!(full.records, reading.records);

    let refused = |change: fn(&mut Vec<u8>)| {
        let mut frame = frame.clone();
        change(&mut frame);
        let error = decoder().decode(&encrypted(0x79, &frame)).unwrap_err();
        assert_eq!(error.layer, Layer::Apl);
        error.kind
    };
    assert_eq!(
        refused(|frame| frame[0] ^= 1),
        ErrorKind::UnknownFormat(Signature(0x8C12))
    );
    assert!(matches!(
        refused(|frame| frame[4] ^= 1),
        ErrorKind::Crc { .. }
    ));
    assert!(matches!(
        refused(|frame| frame[2] ^= 1),
        ErrorKind::Crc { .. }
    ));
    assert_eq!(refused(|frame| frame.push(0)), ErrorKind::TrailingData(1));
    assert_eq!(
        refused(|frame| _ = frame.pop()),
        ErrorKind::Truncated { missing: 1 }
    );
}

#[test]
fn learns_layouts_from_valid_full_frames_only() {
    // Volume, 0.001 m³; volume of last month; a text.
    let headers = hex("04 13  44 13  0D FD 11");
    let layout = Layout::from_headers(&headers).unwrap();
    let values: [&[u8]; 3] = [&[7, 0, 0, 0], &[6, 0, 0, 0], b"\x02ok"];
    let compact = encrypted(0x79, &layout.compact(&values));
    let full = layout.full(&values);

    let mut decoder = decoder();
    let unknown = ErrorKind::UnknownFormat(layout.signature());
    assert_eq!(decoder.decode(&compact).unwrap_err().kind, unknown);
    // A frame that is cut off, one with a trailing byte, and one of a forger without the key teach nothing.
    for bad in [&full[..full.len() - 1], &[&full[..], &[0]].concat()] {
        assert!(decoder.decode(&encrypted(0x78, bad)).is_err());
    }
    let forged = Draft::new(
        Address::from_link(hex(METER).try_into().unwrap()),
        0x78,
        &full,
    );
    let forged = forged.encode(None).unwrap();
    assert_eq!(
        decoder.decode(&forged).unwrap_err().kind,
        ErrorKind::NotEncrypted
    );
    assert_eq!(decoder.decode(&compact).unwrap_err().kind, unknown);

    let from_full = decoder.decode(&encrypted(0x78, &full)).unwrap();
    let from_compact = decoder.decode(&compact).unwrap();
    assert_eq!(from_compact.records, from_full.records);
    assert_eq!(self::values(&from_full), ["0.007 m³", "0.006 m³", "ko "]);

    decoder.set_key(Some(KEY.parse().unwrap()));
    assert_eq!(decoder.decode(&compact).unwrap_err().kind, unknown);
}

#[test]
fn learns_from_format_frames() {
    let headers = hex("04 13  44 13");
    let layout = Layout::from_headers(&headers).unwrap();
    let values: [&[u8]; 2] = [&[7, 0, 0, 0], &[6, 0, 0, 0]];
    let mut format = vec![headers.len() as u8 + 2];
    format.extend(layout.signature().0.to_le_bytes());
    format.extend(&headers);
    let mut decoder = decoder();
    assert_eq!(
        decoder.decode(&encrypted(0x69, &format)).unwrap().records,
        []
    );
    let reading = decoder
        .decode(&encrypted(0x79, &layout.compact(&values)))
        .unwrap();
    assert_eq!(self::values(&reading), ["0.007 m³", "0.006 m³"]);
    format[3] ^= 1;
    assert!(decoder.decode(&encrypted(0x69, &format)).is_err());
}

#[test]
fn remembers_few_layouts_of_one_meter() {
    let address = Address::from_link(hex(METER).try_into().unwrap());
    let mut learned = Learned::empty(address);
    for number in 0..=9 {
        learned.add(Signature(number), &[number as u8]);
    }
    assert_eq!(learned.layouts.len(), Learned::MAX);
    assert_eq!(learned.headers(address, Signature(9)), Some(&[9][..]));
    assert_eq!(learned.headers(address, Signature(1)), None);
    learned.add(Signature(9), &[90]);
    assert_eq!(learned.headers(address, Signature(9)), Some(&[90][..]));
    let mut other = address;
    other.version += 1;
    assert_eq!(learned.headers(other, Signature(9)), None);
}

#[test]
fn what_was_learned_can_be_given_to_the_next_decoder() {
    let headers = hex("04 13  44 13");
    let layout = Layout::from_headers(&headers).unwrap();
    let values: [&[u8]; 2] = [&[7, 0, 0, 0], &[6, 0, 0, 0]];
    let compact = encrypted(0x79, &layout.compact(&values));
    let mut next = decoder();
    assert!(next.decode(&compact).is_err());
    let address = Address::from_link(hex(METER).try_into().unwrap());
    let learned = Learned::new(address, [&*headers]).unwrap();
    assert_eq!(learned.layouts().collect::<Vec<_>>(), [&*headers]);
    next.set_learned(Some(learned));
    assert_eq!(
        self::values(&next.decode(&compact).unwrap()),
        ["0.007 m³", "0.006 m³"]
    );
    assert!(next.learned().is_some());
    assert!(Learned::new(address, [&[0x04][..]]).is_err(), "cut short");
}

#[test]
fn is_small() {
    assert!(size_of::<Decoder>() <= 320, "{}", size_of::<Decoder>());
}
