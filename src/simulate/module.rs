//! The virtual iM871A itself: what a real one would answer and forward. Pure: bytes and the time in, bytes out.

use std::time::{Duration, Instant};

use wmbus::im871a::{
    Answer, Config, Deframer, DeviceInfo, Event, LinkMode, Request, Rssi, SystemStatus, Telegram,
};
use wmbus::{IdentificationNumber, Manufacturer, Medium};

/// A module with power.
#[derive(Debug)]
pub struct Module {
    info: DeviceInfo,
    /// What it starts with.
    stored: Config,
    /// What it does now.
    active: Config,
    started: Instant,
    /// How long it takes to start.
    ready_after: Duration,
    input: Deframer,
    received: u32,
}

impl Module {
    /// A module as it comes from the factory, up and running.
    pub fn new(serial_number: u32, firmware: u8, now: Instant) -> Self {
        let info = DeviceInfo {
            module_type: DeviceInfo::IM871A,
            device_mode: OTHER,
            firmware,
            hci_version: HCI_VERSION,
            serial_number,
        };
        let stored = factory_settings(serial_number);
        // It was plugged in some time ago.
        let started = now.checked_sub(READY_AFTER).unwrap_or(now);
        Self {
            info,
            stored,
            active: stored,
            started,
            ready_after: READY_AFTER,
            input: Deframer::new(),
            received: 0,
        }
    }

    /// Takes what the host wrote and gives the requests in it. What is none, or none that it knows, a real one passes over in silence.
    pub fn read(&mut self, bytes: &[u8], now: Instant) -> Vec<Request> {
        if self.is_deaf(now) {
            self.input = Deframer::new();
            return Vec::new();
        }
        self.input.push(bytes);
        let mut requests = Vec::new();
        while let Some(event) = self.input.next() {
            if let Event::Message(message) = event
                && let Ok(Some(request)) = Request::parse(&message)
            {
                requests.push(request);
            }
        }
        requests
    }

    /// A telegram is on the air: the message about it, if the module hears it.
    ///
    /// `bytes` begin with the L field. `mode` is what the meter sends in.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        mode: LinkMode,
        rssi: Rssi,
        now: Instant,
    ) -> Option<Answer> {
        if self.is_deaf(now) || !self.hears(mode) {
            return None;
        }
        self.received = self.received.wrapping_add(1);
        let attached = |wanted: Option<bool>| wanted == Some(true);
        Some(Answer::Telegram(Telegram {
            bytes: bytes.to_vec(),
            time_stamp: attached(self.active.attach_time_stamp).then(|| self.ticks(now)),
            rssi: attached(self.active.attach_rssi).then_some(rssi),
        }))
    }

    /// It starts again: what was not stored is gone.
    pub fn restart(&mut self, now: Instant) {
        self.active = self.stored;
        self.started = now;
        self.received = 0;
        self.input = Deframer::new();
    }

    /// From now on it takes so long to start instead of two seconds; a quarter of it, it is deaf.
    pub fn start_within(&mut self, time: Duration) {
        self.ready_after = time;
    }

    /// It forgets what it was told, without starting again.
    pub fn lose_configuration(&mut self) {
        self.active = self.stored;
    }

    /// The link mode that it hears.
    pub fn link_mode(&self) -> Option<LinkMode> {
        self.active.link_mode
    }

    /// Does what it is asked.
    pub fn answer(&mut self, request: Request, now: Instant) -> Answer {
        match request {
            Request::Ping => Answer::Ping,
            Request::SetConfig { persistent, config } => {
                let changed = self.active.with(&changeable(config));
                if persistent {
                    self.stored = self.stored.with(&changeable(config));
                }
                // Right after a restart it says yes, and goes on with what it was about to load.
                if now.saturating_duration_since(self.started) >= self.ready_after {
                    self.active = changed;
                }
                Answer::SetConfig {
                    status: Some(ACCEPTED),
                }
            }
            Request::GetConfig => Answer::Config(self.active),
            Request::Reset => {
                self.restart(now);
                Answer::Reset
            }
            Request::FactoryReset { restart } => {
                self.stored = factory_settings(self.info.serial_number);
                if restart {
                    self.restart(now);
                }
                Answer::FactoryReset {
                    status: Some(ACCEPTED),
                }
            }
            Request::DeviceInfo => Answer::DeviceInfo(DeviceInfo {
                device_mode: self.active.device_mode.unwrap_or(OTHER),
                ..self.info
            }),
            _ => Answer::SystemStatus(SystemStatus {
                memory: CONFIGURATION_AND_PRODUCTION_DATA,
                ticks: self.ticks(now),
                received: self.received,
                ..SystemStatus::default()
            }),
        }
    }

    fn is_deaf(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.started) < self.ready_after / 4
    }

    fn hears(&self, mode: LinkMode) -> bool {
        match self.active.link_mode {
            Some(LinkMode::C2b) if self.info.firmware >= LinkMode::C1_T1_FIRMWARE => {
                matches!(mode, LinkMode::C1a | LinkMode::C1b | LinkMode::T1)
            }
            // Its radio tells the two frame formats of C1 apart by their synchronisation words.
            active => active == Some(mode),
        }
    }

    /// Time since it started, in units of 10 ms.
    fn ticks(&self, now: Instant) -> u32 {
        let centiseconds = now.saturating_duration_since(self.started).as_millis() / 10;
        u32::try_from(centiseconds).unwrap_or(u32::MAX)
    }
}

/// What a new one is set to. S1 is not what anybody wants, so a configuration that was lost is noticed.
fn factory_settings(serial_number: u32) -> Config {
    Config {
        device_mode: Some(OTHER),
        link_mode: Some(LinkMode::S1),
        control: Some(0),
        manufacturer: Some(Manufacturer(IMST)),
        identification: Some(IdentificationNumber(serial_number)),
        version: Some(1),
        medium: Some(Medium(0)),
        channel: Some(10),
        power_level: Some(7),
        data_rate: Some(0),
        receive_window: Some(50),
        auto_power_saving: Some(false),
        attach_rssi: Some(false),
        attach_time_stamp: Some(false),
        led_control: Some(0),
        clock: Some(true),
    }
}

/// A USB dongle's own address cannot be changed.
fn changeable(config: Config) -> Config {
    Config {
        manufacturer: None,
        identification: None,
        version: None,
        medium: None,
        ..config
    }
}

/// Device mode of a receiver; 1 would be a meter.
const OTHER: u8 = 0;
/// Version 1.7 of the serial protocol, which came with firmware 1.4.
const HCI_VERSION: u8 = 0x17;
/// IMS, the manufacturer letters of the maker.
const IMST: u16 = 0x25B3;
/// What answers to a change say.
const ACCEPTED: u8 = 1;
/// Bits 0 and 1 of the memory's state.
const CONFIGURATION_AND_PRODUCTION_DATA: u8 = 0x03;
/// After a restart it hears neither host nor meters for a quarter of this time, and keeps no link mode for all of it.
const READY_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(module: &mut Module, request: Request, now: Instant) -> Option<Answer> {
        module
            .read(&request.to_message().encode(), now)
            .pop()
            .map(|request| module.answer(request, now))
    }

    fn set(link_mode: LinkMode) -> Request {
        let config = Config {
            link_mode: Some(link_mode),
            attach_rssi: Some(true),
            ..Config::default()
        };
        Request::SetConfig {
            persistent: false,
            config,
        }
    }

    const TELEGRAM: &[u8] = &[3, 0x44, 0x2D, 0x2C];
    const LOUD: Rssi = Rssi::from_dbm(-40);

    #[test]
    fn it_says_what_it_is_and_shows_every_value_of_its_configuration() {
        let now = Instant::now();
        let mut module = Module::new(0x1234_5678, 0x14, now);
        let answer = ask(&mut module, Request::DeviceInfo, now)
            .unwrap()
            .to_message()
            .encode();
        assert_eq!(
            answer[..12],
            [
                0xA5, 0x81, 0x10, 8, 0x33, 0, 0x14, 0x17, 0x78, 0x56, 0x34, 0x12
            ]
        );
        let config = ask(&mut module, Request::GetConfig, now)
            .unwrap()
            .to_message()
            .payload;
        assert_eq!((config[0], config[13], config.len()), (0xFF, 0xFF, 22));
    }

    #[test]
    fn requests_may_come_in_pieces_with_a_crc_and_between_garbage() {
        let now = Instant::now();
        let mut module = Module::new(1, 0x14, now);
        let mut message = Request::Ping.to_message();
        message.has_crc = true;
        let mut bytes = vec![0x00, 0xFF];
        bytes.extend(message.encode());
        let requests: Vec<_> = bytes
            .iter()
            .flat_map(|&byte| module.read(&[byte], now))
            .collect();
        assert_eq!(requests, [Request::Ping]);
        assert_eq!(
            module.read(&[0xA5, 0x01, 0x7F, 0x00], now),
            [],
            "an unknown message"
        );
    }

    #[test]
    fn telegrams_are_forwarded_in_the_matching_mode_with_what_was_asked_for() {
        let now = Instant::now();
        let mut module = Module::new(1, 0x14, now);
        assert_eq!(module.hear(TELEGRAM, LinkMode::C1a, LOUD, now), None);
        ask(&mut module, set(LinkMode::C1a), now);
        let telegram = Telegram {
            bytes: TELEGRAM.to_vec(),
            time_stamp: None,
            rssi: Some(LOUD),
        };
        assert_eq!(
            module.hear(TELEGRAM, LinkMode::C1a, LOUD, now),
            Some(Answer::Telegram(telegram))
        );
        assert_eq!(module.hear(TELEGRAM, LinkMode::T1, LOUD, now), None);
    }

    #[test]
    fn mode_nine_hears_c1_and_t1_from_firmware_14_on() {
        let now = Instant::now();
        for (firmware, heard) in [(0x13, false), (0x14, true)] {
            let mut module = Module::new(1, firmware, now);
            ask(&mut module, set(LinkMode::C2b), now);
            assert_eq!(
                module.hear(TELEGRAM, LinkMode::C1a, LOUD, now).is_some(),
                heard
            );
            assert_eq!(
                module.hear(TELEGRAM, LinkMode::T1, LOUD, now).is_some(),
                heard
            );
        }
    }

    #[test]
    fn after_a_reset_it_is_deaf_then_keeps_no_mode_then_works() {
        let start = Instant::now();
        let mut module = Module::new(1, 0x14, start);
        ask(&mut module, set(LinkMode::C1a), start);
        assert_eq!(ask(&mut module, Request::Reset, start), Some(Answer::Reset));
        assert_eq!(module.link_mode(), Some(LinkMode::S1));
        assert_eq!(
            ask(
                &mut module,
                Request::Ping,
                start + Duration::from_millis(400)
            ),
            None
        );
        let early = start + Duration::from_secs(1);
        assert!(ask(&mut module, set(LinkMode::C1a), early).is_some());
        assert_eq!(module.link_mode(), Some(LinkMode::S1));
        ask(
            &mut module,
            set(LinkMode::C1a),
            start + Duration::from_secs(2),
        );
        assert_eq!(module.link_mode(), Some(LinkMode::C1a));
    }

    #[test]
    fn what_is_stored_survives_a_restart_until_the_factory_reset() {
        let now = Instant::now();
        let mut module = Module::new(1, 0x14, now);
        let config = Config {
            link_mode: Some(LinkMode::T1),
            version: Some(9),
            ..Config::default()
        };
        ask(
            &mut module,
            Request::SetConfig {
                persistent: true,
                config,
            },
            now,
        );
        ask(&mut module, Request::Reset, now);
        assert_eq!(
            (module.active.link_mode, module.active.version),
            (Some(LinkMode::T1), Some(1))
        );
        let later = now + READY_AFTER;
        ask(&mut module, Request::FactoryReset { restart: true }, later);
        assert_eq!(module.active, factory_settings(1));
        let later = later + READY_AFTER;
        let status = ask(&mut module, Request::SystemStatus, later);
        assert!(
            matches!(
                status,
                Some(Answer::SystemStatus(SystemStatus { ticks: 200, .. }))
            ),
            "{status:?}"
        );
    }
}
