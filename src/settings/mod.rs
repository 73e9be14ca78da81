//! Settings: what the operator decides, read from one TOML file.
//!
//! One struct per section ([`sections`]), every key with its unit, range and default; an unknown key is a mistake. All mistakes are
//! found at once ([`document`]). Passwords and tokens may come from elsewhere ([`secrets`]).

pub mod daemon;
pub mod document;
pub mod outputs;
pub mod secrets;
pub mod sections;
pub mod values;
mod written;

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use self::daemon::DaemonSettings;
use self::document::{Document, Mistake};
pub use self::outputs::{HomeAssistant, ReCalc, State};
pub use self::secrets::Environment;
pub use self::sections::{Driver, Gateway, Log, Mqtt, Outbox, Page, Profiles};
pub use self::written::Written;

/// Where the settings are, unless the command line or `OMNIGATE_CONFIG` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/omnigate/omnigate.toml";

/// All settings, checked, with the secrets in place.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[driver]`
    pub driver: Driver,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// `[outbox]`
    pub outbox: Outbox,
    /// `[page]`
    pub page: Page,
    /// `[profiles]`
    pub profiles: Profiles,
    /// `[recalc]`
    pub recalc: ReCalc,
    /// `[state]`
    pub state: State,
    /// `[home_assistant]`
    pub home_assistant: HomeAssistant,
    /// `[log]`
    pub log: Log,
    /// What the file says.
    pub written: Written,
}

impl Settings {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`Mistakes`]: all of them.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, Mistakes> {
        read(file)
            .and_then(|text| Self::parse(&text, environment))
            .map_err(|mistakes| Mistakes {
                file: file.to_owned(),
                mistakes,
            })
    }

    /// Reads and checks the text of such a file.
    ///
    /// # Errors
    /// All mistakes, in the order of their lines.
    pub fn parse(text: &str, environment: &Environment) -> Result<Self, Vec<Mistake>> {
        let mut document = Document::new(text);
        let (gateway, _) = document.section::<Gateway>("gateway");
        let (driver, driver_keys) = document.section::<Driver>("driver");
        let (mqtt, mqtt_keys) = document.section::<Mqtt>("mqtt");
        let (outbox, _) = document.section::<Outbox>("outbox");
        let (page, _) = document.section::<Page>("page");
        let (profiles, _) = document.section::<Profiles>("profiles");
        let (recalc, recalc_keys) = document.section::<ReCalc>("recalc");
        let (state, _) = document.section::<State>("state");
        let (home_assistant, home_assistant_keys) =
            document.section::<HomeAssistant>("home_assistant");
        let (log, _) = document.section::<Log>("log");
        let mut mistakes = document.mistakes();
        if let Some(driver) = &driver {
            driver.contradictions(&driver_keys, &mut mistakes);
        }
        if let (Some(recalc), Some(state)) = (&recalc, &state) {
            recalc.contradictions(state, &recalc_keys, &mut mistakes);
        }
        if let (Some(home_assistant), Some(state)) = (&home_assistant, &state) {
            home_assistant.contradictions(state, &home_assistant_keys, &mut mistakes);
        }
        let mqtt = mqtt.map(|mut mqtt| {
            mqtt.contradictions(&mqtt_keys, &mut mistakes);
            mqtt.find_secrets(&mqtt_keys, environment, &mut mistakes);
            mqtt
        });
        let complete = || {
            Some(Self {
                gateway: gateway?,
                driver: driver?,
                mqtt: mqtt?,
                outbox: outbox?,
                page: page?,
                profiles: profiles?,
                recalc: recalc?,
                state: state?,
                home_assistant: home_assistant?,
                log: log?,
                written: Written::of(text),
            })
        };
        if mistakes.is_empty()
            && let Some(settings) = complete()
        {
            return Ok(settings);
        }
        mistakes.sort();
        Err(mistakes)
    }
}

fn read(file: &Path) -> Result<Zeroizing<String>, Vec<Mistake>> {
    std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|error| {
            vec![Mistake {
                line: None,
                key: String::new(),
                what: format!("cannot be read: {error}"),
            }]
        })
}

/// Why a file of settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, in the order of the lines; at least one.
    pub mistakes: Vec<Mistake>,
}

/// A line for each, as compilers write them: `FILE:LINE: KEY: WHAT`.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            let separator = if mistake.line.is_some() { ":" } else { ": " };
            let new_line = if number == 0 { "" } else { "\n" };
            write!(f, "{new_line}{}{separator}{mistake}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests;
