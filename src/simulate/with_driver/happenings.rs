//! What happens to dongles in the field.

use std::fs::Permissions;
use std::mem::MaybeUninit;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;
use crate::simulate::pty::Pty;

/// A scenario gets so many tries to end as it should: whoever stands still for a moment on a busy machine does not answer either, and the
/// Driver, in a hurry, takes that for a further failure.
const TRIES: usize = 5;

/// Makes it ill and expects the trouble's cause and what helps.
async fn recovers(ailment: Ailment, cure: Cure, expected: (Cause, Rung)) {
    let mut others = Vec::new();
    while others.len() < TRIES {
        match recovery(ailment, cure).await {
            as_expected if as_expected == expected => return,
            other => others.push(other),
        }
    }
    panic!("{ailment:?} until {cure:?}: never {expected:?} but {others:?}");
}

/// Makes it ill and waits until it is well again; gives the trouble's cause and what helped.
async fn recovery(ailment: Ailment, cure: Cure) -> (Cause, Rung) {
    let (dongle, mut gateway) = running().await;
    let started = Instant::now();
    dongle.fall_ill(ailment, cure);
    gateway
        .reach("trouble", |status| {
            matches!(status.state, DriverState::Recovering { .. }) || status.last_recovery.is_some()
        })
        .await;
    let detected = started.elapsed();
    gateway.hears_again(&dongle).await;
    let recovered = started.elapsed();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    let recovery = gateway.status.borrow().last_recovery.clone().unwrap();
    println!(
        "{ailment:?} until {cure:?}: detected after {detected:.1?}, heard again after {recovered:.1?}, {:?}",
        recovery.rung
    );
    (recovery.cause, recovery.rung)
}

#[actix_rt::test]
async fn configures_the_dongle_and_delivers_telegrams_with_their_strength() {
    let (dongle, mut gateway) = running().await;
    assert_eq!(dongle.link_mode(), Some(LinkMode::C1a));
    assert!(dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD));
    let telegram = gateway.next().await;
    assert_eq!(telegram.bytes(), TELEGRAM);
    assert_eq!(telegram.rssi(), Some(LOUD));
    let age = Timestamp::now().duration_since(telegram.received_at());
    assert!(age.abs() < jiff::SignedDuration::from_secs(5));
    let status = gateway.status.borrow().clone();
    assert_eq!(status.dongle.unwrap().serial_number, 0x1234_5678);
    assert_eq!(status.link_mode.as_deref(), Some("c1a"));
    assert!(status.last_telegram.is_some());
}

#[actix_rt::test]
async fn c1_and_t1_are_heard_together() {
    let (dongle, path) = dongle();
    let mut gateway = Gateway::on(path, Wanted::C1AndT1);
    gateway.listening().await;
    for mode in [LinkMode::C1a, LinkMode::T1] {
        assert!(dongle.telegram(&TELEGRAM, mode, LOUD));
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
}

#[actix_rt::test]
async fn serial_bytes_may_come_in_any_pieces() {
    let (dongle, path) = dongle();
    dongle.split_writes(3);
    let mut gateway = Gateway::on(path, C1A);
    gateway.listening().await;
    for _ in 0..5 {
        dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
    assert_eq!(gateway.counters.value(Count::SourceBytesSkipped), 0);
}

#[actix_rt::test]
async fn garbage_joined_messages_and_wrong_crcs_cost_only_themselves() {
    let (dongle, mut gateway) = running().await;
    let before = gateway.counters.value(Count::TelegramsReceived);
    dongle.raw(&[0x00, 0x13, 0xFF, 0x37]);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram_with_wrong_crc(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    for _ in 0..3 {
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
    let received = grown_to(3, || {
        gateway.counters.value(Count::TelegramsReceived) - before
    });
    assert_eq!(received.await, 3);
    assert_eq!(gateway.counters.value(Count::DongleCrcWrong), 1);
    assert!(gateway.counters.value(Count::SourceBytesSkipped) >= 4);
}

#[actix_rt::test]
async fn a_dongle_that_sends_crcs_is_believed_nothing_without() {
    let (dongle, mut gateway) = running().await;
    let skipped = gateway.counters.value(Count::SourceBytesSkipped);
    let mut bytes = vec![0xA5, 0x02, 0x03, 0x27];
    bytes.extend(&TELEGRAM[1..]);
    dongle.raw(&bytes);
    let skipped = grown_to(43, || {
        gateway.counters.value(Count::SourceBytesSkipped) - skipped
    });
    assert_eq!(skipped.await, 43);
    assert!(gateway.telegrams.try_recv().is_err());
}

#[actix_rt::test]
async fn an_unplugged_dongle_is_waited_for_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("serial/by-id");
    let name = by_id.join("usb-Silicon_Labs_IMST_iM871A-USB_Stick_00001-if00-port0");
    let mut gateway = Gateway::on(PortPath::Auto(by_id.clone()), C1A);
    gateway.reach("waiting", |status| matches!(&status.state, DriverState::Waiting { reason } if reason.contains("iM871A"))).await;

    std::fs::create_dir_all(&by_id).unwrap();
    let (dongle, first) = VirtualDongle::open(1, 0x14, Some(&name)).unwrap();
    dongle.start_within(BOOT);
    assert_eq!(first, name);
    gateway.listening().await;
    gateway.hears_again(&dongle).await;
    let tty = name.canonicalize().unwrap();

    for round in 1..=2 {
        let pulled = Instant::now();
        dongle.unplug();
        gateway
            .reach("waiting", |status| {
                matches!(status.state, DriverState::Waiting { .. })
            })
            .await;
        let noticed = pulled.elapsed();
        assert_eq!(gateway.status.borrow().unplugged, round);
        std::fs::remove_dir_all(folder.path().join("serial")).unwrap();
        sleep(Duration::from_millis(100)).await;
        std::fs::create_dir_all(&by_id).unwrap();
        // Somebody else's port, which must not be touched, and perhaps another tty for the dongle.
        std::fs::write(by_id.join("usb-FTDI_FT232R_USB_UART-if00-port0"), "").unwrap();
        let occupied = Pty::open(None).unwrap();
        let back = Instant::now();
        dongle.plug_in().unwrap();
        gateway.listening().await;
        gateway.hears_again(&dongle).await;
        println!(
            "unplugged: noticed after {noticed:.1?}; plugged in as {tty:?}, now {:?}: heard again after {:.1?}",
            name.canonicalize().unwrap(),
            back.elapsed()
        );
        drop(occupied);
    }
}

/// Whoever opens somebody else's port may reset the device behind it.
#[actix_rt::test]
async fn no_other_port_is_ever_opened() {
    let by_id = tempfile::tempdir().unwrap();
    let others = [
        "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
        "usb-Silicon_Labs_CP2102_USB_to_UART_Bridge_Controller_0001-if00-port0",
    ];
    let touched = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    for other in others {
        let port = by_id.path().join(other);
        std::fs::write(&port, "").unwrap();
        inotify::add_watch(&touched, &port, WatchFlags::ALL_EVENTS).unwrap();
    }
    let mut gateway = Gateway::on(PortPath::Auto(by_id.path().to_owned()), C1A);
    gateway
        .reach("waiting", |status| {
            matches!(status.state, DriverState::Waiting { .. })
        })
        .await;
    let name = by_id
        .path()
        .join("usb-Silicon_Labs_IMST_iM871A-USB_Stick_00001-if00-port0");
    let (dongle, _) = VirtualDongle::open(1, 0x14, Some(&name)).unwrap();
    dongle.start_within(BOOT);
    gateway.listening().await;
    dongle.unplug();
    gateway
        .reach("waiting", |status| {
            matches!(status.state, DriverState::Waiting { .. })
        })
        .await;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&touched, &mut buffer);
    assert_eq!(
        events.next().err(),
        Some(Errno::AGAIN),
        "nothing happened to them"
    );
}

#[actix_rt::test]
async fn a_port_held_by_another_program_is_waited_for() {
    let (dongle, path) = dongle();
    let PortPath::Fixed(port) = &path else {
        unreachable!()
    };
    let other = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(port)
        .unwrap();
    other.lock().unwrap();
    let mut gateway = Gateway::on(path.clone(), C1A);
    gateway.reach("waiting", |status| matches!(&status.state, DriverState::Waiting { reason } if reason.contains("held by another program"))).await;
    drop(other);
    gateway.listening().await;
    gateway.hears_again(&dongle).await;
    assert!(
        std::fs::File::open(port).unwrap().try_lock().is_err(),
        "now it is the gateway's"
    );
}

#[actix_rt::test]
async fn deaf_until_reset() {
    recovers(Ailment::Deaf, Cure::Reset, (Cause::NoAnswer, Rung::Reset)).await;
}

#[actix_rt::test]
async fn deaf_until_reopened() {
    recovers(Ailment::Deaf, Cure::Reopen, (Cause::NoAnswer, Rung::Reopen)).await;
}

#[actix_rt::test]
async fn answering_but_receiving_nothing_until_the_link_mode_is_set() {
    recovers(
        Ailment::HearsNothing,
        Cure::SetConfig,
        (Cause::NoTelegrams, Rung::SetLinkMode),
    )
    .await;
}

#[actix_rt::test]
async fn answering_but_receiving_nothing_until_reset() {
    recovers(
        Ailment::HearsNothing,
        Cure::Reset,
        (Cause::NoTelegrams, Rung::Reset),
    )
    .await;
}

#[actix_rt::test]
async fn babbling_until_reset() {
    recovers(
        Ailment::Babbles,
        Cure::Reset,
        (Cause::Babbling, Rung::Reset),
    )
    .await;
}

#[actix_rt::test]
async fn a_dongle_that_only_ignores_commands_is_still_listened_to() {
    let (dongle, mut gateway) = running().await;
    dongle.fall_ill(Ailment::IgnoresCommands, Cure::Nothing);
    let top = DriverState::Recovering {
        cause: Cause::NoAnswer,
        rung: Rung::Reopen,
    };
    gateway
        .reach("the top of the ladder", |status| status.state == top)
        .await;
    for _ in 0..20 {
        gateway.hears_again(&dongle).await;
    }
    dongle.heal();
    gateway.listening().await;
}

#[actix_rt::test]
async fn a_lost_link_mode_is_set_again() {
    let mut others = Vec::new();
    while others.len() < TRIES {
        match recovery_of_link_mode().await {
            (Rung::SetLinkMode, 1, 0) => return,
            other => others.push(other),
        }
    }
    panic!("{others:?}");
}

/// Loses the link mode; gives what helped, how often it was set, and how often the dongle was reset.
async fn recovery_of_link_mode() -> (Rung, u64, u64) {
    let (dongle, mut gateway) = running().await;
    let lost = Instant::now();
    dongle.lose_configuration();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    gateway.hears_again(&dongle).await;
    println!("link mode lost: heard again after {:.1?}", lost.elapsed());
    let status = gateway.status.borrow().clone();
    (
        status.last_recovery.unwrap().rung,
        status.steps.set_link_mode,
        status.steps.reset,
    )
}

#[actix_rt::test]
async fn a_dongle_that_reboots_by_itself_gets_its_link_mode_back() {
    let (dongle, mut gateway) = running().await;
    let rebooted = Instant::now();
    dongle.reboot();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    gateway.hears_again(&dongle).await;
    println!(
        "rebooted by itself: heard again after {:.1?}",
        rebooted.elapsed()
    );
    assert_eq!(dongle.link_mode(), Some(LinkMode::C1a));
}

#[actix_rt::test]
async fn a_port_without_permission_is_waited_for() {
    obey_permissions();
    let (dongle, path) = dongle();
    let PortPath::Fixed(port) = &path else {
        unreachable!()
    };
    std::fs::set_permissions(port, Permissions::from_mode(0o000)).unwrap();
    let mut gateway = Gateway::on(path.clone(), C1A);
    gateway.reach("waiting", |status| matches!(&status.state, DriverState::Waiting { reason } if reason.contains("permission denied"))).await;
    std::fs::set_permissions(port, Permissions::from_mode(0o600)).unwrap();
    gateway.listening().await;
    gateway.hears_again(&dongle).await;
}

/// Root may open anything; from now on this test's thread may not.
pub(super) fn obey_permissions() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE);
    set_capabilities(None, sets).unwrap();
}
