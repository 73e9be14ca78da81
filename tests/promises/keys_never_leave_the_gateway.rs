//! No key and no password appears in any output or message, whatever goes wrong.

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, KEY, WRONG_KEY, set_message, set_message_with_key};

#[test]
fn neither_in_the_log_nor_in_a_message() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .mqtt("username = \"gateway\"")
        .mqtt("password = \"correct horse\"")
        .start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    let half_a_key = &KEY[..31];
    for (number, message) in [
        set_message_with_key(WRONG_KEY),
        set_message_with_key(half_a_key),
        set_message().replace("encryptionKey", "encryptionkey"),
        set_message()[1..].to_owned(),
        set_message(),
    ]
    .iter()
    .enumerate()
    {
        subscriber.publish(&set, message);
        subscriber.wait_on(&format!("{set}/result"), number + 1);
        gateway.feed([COMPACT_2_06]);
    }
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));

    let mut everything = gateway.output();
    for message in subscriber
        .all()
        .iter()
        .filter(|message| message.topic != set)
    {
        everything += &message.topic;
        everything += &message.payload;
    }
    let everything_lower = everything.to_lowercase();
    for secret in [KEY, WRONG_KEY, half_a_key]
        .map(str::as_bytes)
        .into_iter()
        .chain([b"correct horse".as_slice()])
    {
        for form in forms(secret) {
            assert!(
                !everything_lower.contains(&form.to_lowercase()),
                "{form} in the gateway's output"
            );
        }
    }
}

/// The ways in which a careless program might print a secret.
fn forms(secret: &[u8]) -> Vec<String> {
    let text = String::from_utf8(secret.to_vec()).unwrap();
    let mut forms = vec![text.clone(), hex(secret), format!("{secret:?}")];
    if text.len() == 32 {
        let bytes: Vec<u8> = (0..16)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        forms.push(format!("{bytes:?}"));
        forms.push(base64(&bytes));
    }
    forms.push(base64(secret));
    forms
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without padding, so that it is found with and without.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = chunk
                .iter()
                .fold(0_u32, |word, &byte| word << 8 | u32::from(byte))
                << (8 * (3 - chunk.len()));
            (0..=chunk.len())
                .map(move |at| char::from(LETTERS[(word >> (18 - 6 * at)) as usize & 63]))
        })
        .collect()
}
