//! A virtual dongle with telegrams on the air.

use std::path::PathBuf;
use std::time::Duration;

use omnigate::simulate::VirtualDongle;
use wmbus::im871a::{LinkMode, Rssi};

use super::{DEADLINE, wait_for};

/// A plugged-in dongle.
pub struct Air {
    pub dongle: VirtualDongle,
    port: PathBuf,
}

impl Air {
    pub fn open() -> Self {
        let (dongle, port) = VirtualDongle::open(0x3132_3334, 0x13, None).unwrap();
        Self { dongle, port }
    }

    /// A dongle at this path.
    pub fn at(dongle: VirtualDongle, port: PathBuf) -> Self {
        Self { dongle, port }
    }

    /// The path of the dongle's port.
    pub fn port(&self) -> &str {
        self.port.to_str().unwrap()
    }

    /// Waits until the gateway has configured the dongle.
    pub fn wait_until_listening(&self) {
        assert!(
            self.dongle.wait_for_link_mode(LinkMode::C1a, DEADLINE),
            "the gateway never set the link mode"
        );
        // The gateway reads the configuration back before it takes telegrams.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Sends a telegram, given as hexadecimal text, as soon as the dongle hears it: on a busy machine the gateway may be resetting it.
    pub fn send(&self, telegram: &str) {
        wait_for("the dongle to hear a telegram", || {
            self.try_send(telegram).then_some(())
        });
    }

    /// The same with a CRC that is wrong on the serial line.
    pub fn send_with_wrong_crc(&self, telegram: &str) {
        wait_for("the dongle to hear a telegram", || {
            let (bytes, rssi) = (bytes(telegram), Rssi::from_dbm(-71));
            self.dongle
                .telegram_with_wrong_crc(&bytes, LinkMode::C1a, rssi)
                .then_some(())
        });
    }

    /// Sends a telegram if the dongle hears it already, and says whether it does.
    pub fn try_send(&self, telegram: &str) -> bool {
        self.dongle
            .telegram(&bytes(telegram), LinkMode::C1a, Rssi::from_dbm(-71))
    }
}

/// The bytes of hexadecimal text.
pub fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
