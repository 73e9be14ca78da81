//! Waiting for a dongle uses no processor time; a dongle that a gateway has is nobody else's, until that gateway is gone, however it went.

use std::path::PathBuf;
use std::time::Duration;

use omnigate::simulate::VirtualDongle;
use tempfile::TempDir;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_15, set_message};

/// The processor time that a process has used so far.
fn processor_time(process: &Process) -> Duration {
    let file = PathBuf::from("/proc")
        .join(process.id().to_string())
        .join("stat");
    let stat = std::fs::read_to_string(file).unwrap();
    // Behind the name, which is in brackets: fields 14 and 15 of proc(5), in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    times
        .map(|ticks| Duration::from_millis(10 * ticks.parse::<u64>().unwrap()))
        .sum()
}

#[test]
fn a_gateway_without_its_dongle_uses_no_processor_time() {
    let broker = Broker::start();
    let folder = TempDir::new().unwrap();
    let port = folder.path().join("usb-IMST_iM871A-if00");
    let (dongle, _) = VirtualDongle::open(7, 0x13, Some(&port)).unwrap();
    let air = Air::at(dongle, port);
    let gateway = Options::dongle(&broker, air.port()).start();
    air.wait_until_listening();
    air.dongle.unplug();
    gateway.wait_for_output("no dongle at");
    std::thread::sleep(Duration::from_secs(2));

    let before = processor_time(&gateway);
    std::thread::sleep(Duration::from_secs(10));
    let used = processor_time(&gateway) - before;
    println!("{used:?} of processor time in 10 s, all of the gateway");
    // A look every second at whether all is well is all that is left to do.
    assert!(used <= Duration::from_millis(150), "{used:?} in 10 s");
}

#[test]
fn of_two_gateways_at_one_dongle_the_second_waits_until_the_first_is_gone() {
    let broker = Broker::start();
    let other = Broker::start();
    let subscriber = Subscriber::connect(&other);
    subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    let air = Air::open();
    let mut first = Options::dongle(&broker, air.port()).start();
    first.wait_for_output("listening, actor: driver");
    let second = Options::dongle(&other, air.port()).start();
    second.wait_for_output("held by another program");
    let requests = air.dongle.requests();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        air.dongle.requests(),
        requests,
        "the second one talks to it"
    );
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);

    first.kill();
    second.wait_for_output("listening, actor: driver");
    air.send(COMPACT_2_15);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
}
