//! Tries the dongle with the gateway's own Driver, and listens for meters.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use omnigate_actors::clock;
use omnigate_actors::counters::Counters;
use omnigate_actors::driver::status::{DriverState, StatusSender};
use omnigate_actors::driver::{Config, Driver, DriverStatus};
use omnigate_actors::heard::Heard;
use omnigate_actors::parser::{CheckedTelegram, Parse};
use omnigate_actors::sighting::Sighting;
use omnigate_actors::supervision::{Child, Root, supervise};
use omnigate_actors::tree;
use slog::{Discard, Logger, o};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use wmbus::Profiles;

use crate::settings::Settings;

/// Says whether the dongle answers and hears meters, or why not.
pub async fn works(settings: &Settings, listen: Duration) -> bool {
    println!("\nDongle at {}", settings.driver.path.display());
    let heard = Arc::new(Heard::default());
    let status = StatusSender::new(clock::of_reception());
    let driver = start(settings, &heard, status.clone());
    let ready = ready(status.subscribe()).await;
    match &ready {
        Ok(identity) => {
            println!("  works: {identity}");
            listen_for_meters(&heard, listen).await;
        }
        Err(reason) => println!("  does not work: {reason}"),
    }
    driver.stop().await;
    ready.is_ok()
}

fn start(settings: &Settings, heard: &Arc<Heard>, status: StatusSender) -> Child<Driver> {
    let log = Logger::root(Discard, o!());
    let root = Root::new(log.clone(), |_| {});
    let listener = Listener(Arc::clone(heard)).start();
    let (_, meters_present) = watch::channel(true);
    let (ended, _) = mpsc::channel(1);
    let config = Config::new(
        settings.driver.source(),
        listener.recipient(),
        Arc::new(Semaphore::new(1)),
        meters_present,
        ended,
        Arc::new(Counters::new()),
        status,
        log,
    );
    supervise(&root, &tree::DRIVER, move |_| Driver::new(config.clone()))
}

/// Waits until the dongle is configured. Answers what it is, or the last reason why it is not.
async fn ready(mut status: watch::Receiver<DriverStatus>) -> Result<String, String> {
    let reached = timeout(
        PATIENCE,
        status.wait_for(|status| {
            matches!(
                status.state,
                DriverState::Listening | DriverState::Silent | DriverState::Refused
            )
        }),
    )
    .await
    .is_ok();
    let status = status.borrow();
    match (&status.state, status.dongle) {
        (DriverState::Listening | DriverState::Silent, Some(dongle)) => Ok(format!(
            "iM871A, serial number {:08X}, firmware {:X}.{:X}, at {}",
            dongle.serial_number,
            dongle.firmware >> 4,
            dongle.firmware & 0xF,
            status.path.as_deref().unwrap_or("-"),
        )),
        (DriverState::Refused, _) => Err("what is there is no iM871A".to_owned()),
        (DriverState::Waiting { reason }, _) => Err(reason.clone()),
        _ if reached => Err("it does not say what it is".to_owned()),
        _ => Err("it does not answer".to_owned()),
    }
}

async fn listen_for_meters(heard: &Heard, listen: Duration) {
    println!("  listening for {} s; the meters heard:", listen.as_secs());
    let profiles = Profiles::embedded();
    let mut shown = HashSet::new();
    let end = Instant::now() + listen;
    while Instant::now() < end {
        sleep(LOOK.min(end - Instant::now())).await;
        for meter in heard.list() {
            if shown.insert(meter.address) {
                println!("    {}", line(&meter, &profiles));
            }
        }
    }
    if shown.is_empty() {
        println!(
            "    none. Meters send every few seconds to minutes, in one link mode: try another, or another place"
        );
    }
}

fn line(meter: &Sighting, profiles: &Profiles) -> String {
    let address = meter.address;
    let model = profiles
        .find(address)
        .map_or("unknown model", |profile| profile.model.as_str());
    let rssi = meter
        .rssi
        .map_or_else(String::new, |rssi| format!("  {rssi}"));
    format!(
        "{} {}  {model}{rssi}",
        address.manufacturer, address.identification
    )
}

/// In place of the Parser: only who sends is of interest.
struct Listener(Arc<Heard>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Parse> for Listener {
    type Result = ();

    fn handle(&mut self, Parse(telegram): Parse, _: &mut Context<Self>) {
        if let Ok(telegram) = CheckedTelegram::check(telegram) {
            self.0.remember(&telegram);
        }
    }
}

/// Identifying, resetting and configuring takes about four seconds, and twice that if the first try fails.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often new meters are looked for.
const LOOK: Duration = Duration::from_millis(250);
