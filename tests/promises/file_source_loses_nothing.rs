//! A file of telegrams is read no faster than the system takes it, and every telegram is delivered; then the program ends.

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, set_message};

#[test]
fn every_telegram_of_a_file_is_answered_for() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telegrams.txt");
    std::fs::write(&path, COMPACT_2_06.to_owned() + "\n").unwrap();
    let mut gateway = Options::file(&broker, path.to_str().unwrap()).start();
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(
        subscriber
            .on(&format!("v2/{GATEWAY}/kam-32666857/data"))
            .len(),
        4
    );
}
