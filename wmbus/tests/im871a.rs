//! Whole messages captured from a dongle's serial port, where the reference files are at hand.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use wmbus::im871a::{Answer, Deframer, Event, Message};

#[test]
fn every_captured_message_is_a_telegram() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/im871a.hex");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("not there, so not tested: {}", path.display());
        return;
    };
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        let bytes: Vec<u8> = line
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let mut deframer = Deframer::new();
        deframer.push(&bytes);
        let Some(Event::Message(message)) = deframer.next() else {
            panic!("line {}: no message", number + 1)
        };
        assert_eq!(deframer.next(), None, "line {}", number + 1);
        assert_eq!(Message::parse(&bytes), Ok(message.clone()));
        assert!(message.has_crc);
        let Ok(Some(Answer::Telegram(telegram))) = Answer::parse(&message) else {
            panic!("line {}: no telegram", number + 1)
        };
        assert_eq!(
            telegram.bytes.len(),
            usize::from(telegram.bytes[0]) + 1,
            "line {}",
            number + 1
        );
        count += 1;
    }
    assert_eq!(count, 6);
}
