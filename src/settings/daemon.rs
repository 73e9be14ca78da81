//! The settings of the driver daemon: the sections `[driver]` and `[log]` of the same file. The others are the gateway's and not looked at,
//! so the daemon needs neither its secrets nor the right to read them.

use std::path::Path;

use omnigate_actors::driver::Source;

use super::document::{Document, Mistake};
use super::{DEFAULT_FILE, Driver, Log, Mistakes, Written, read};

/// What the driver daemon is told, checked.
#[derive(Clone, Debug)]
pub struct DaemonSettings {
    /// The dongle.
    pub source: Source,
    /// `[log]`
    pub log: Log,
    /// What the file says.
    pub written: Written,
}

impl DaemonSettings {
    /// Reads and checks the file; without one, the usual file if there is one, otherwise every setting has its default.
    ///
    /// # Errors
    /// [`Mistakes`]: all of them.
    pub fn load(file: Option<&Path>) -> Result<Self, Mistakes> {
        let usual = Path::new(DEFAULT_FILE);
        let settings = match file {
            None if !usual.exists() => Self::parse(""),
            _ => read(file.unwrap_or(usual)).and_then(|text| Self::parse(&text)),
        };
        settings.map_err(|mistakes| Mistakes {
            file: file.unwrap_or(usual).to_owned(),
            mistakes,
        })
    }

    fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut document = Document::new(text);
        let (driver, keys) = document.section::<Driver>("driver");
        let (log, _) = document.section::<Log>("log");
        let mut mistakes = document.mistakes_in_sections();
        let source = driver.and_then(|driver| {
            driver.contradictions(&keys, &mut mistakes);
            let source = driver.source_of_daemon();
            if source.is_none() {
                mistakes.push(keys.mistake("source", ONLY_A_DONGLE));
            }
            source
        });
        match (source, log) {
            (Some(source), Some(log)) if mistakes.is_empty() => Ok(Self {
                source,
                log,
                written: Written::of(text),
            }),
            _ => {
                mistakes.sort();
                Err(mistakes)
            }
        }
    }
}

const ONLY_A_DONGLE: &str = "the driver daemon reads the dongle: \"im871a\" is needed, or \"fifo\" where the gateway reads what the daemon writes";

#[cfg(test)]
mod tests {
    use omnigate_actors::driver::dongle::Wanted;
    use omnigate_actors::driver::port::PortPath;
    use wmbus::im871a::LinkMode;

    use super::*;

    fn dongle(text: &str) -> (PortPath, Wanted) {
        match DaemonSettings::parse(text).unwrap().source {
            Source::Im871a { path, wanted, .. } => (path, wanted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_settings_of_either_gateway_will_do() {
        let auto = PortPath::from_setting("auto");
        assert_eq!(dongle(""), (auto.clone(), Wanted::Mode(LinkMode::C1a)));
        assert_eq!(
            dongle("[driver]\npath = '/dev/ttyUSB7'\nlink_mode = 't1'\n"),
            (
                PortPath::Fixed("/dev/ttyUSB7".into()),
                Wanted::Mode(LinkMode::T1)
            )
        );
        assert_eq!(
            dongle("[driver]\nsource = 'fifo'\npath = '/run/pipe'\nlink_mode = 'c1t1'\n"),
            (auto, Wanted::C1AndT1)
        );
    }

    #[test]
    fn mistakes_of_its_own_sections_are_found_and_others_are_not_looked_at() {
        let text = "[gateway]\nid = ''\n[driver]\nsource = 'stdin'\nbaud = 9600\n[mqtt]\npassword_file = '/nowhere'\n[log]\nlevel = 'loud'\n";
        let mistakes = DaemonSettings::parse(text).unwrap_err();
        let lines: Vec<_> = mistakes
            .iter()
            .map(|mistake| (mistake.line.unwrap(), mistake.key.as_str()))
            .collect();
        assert_eq!(
            lines,
            [(4, "driver.source"), (5, "driver.baud"), (9, "log.level")]
        );
        assert!(DaemonSettings::parse("[driver\n").is_err());
    }
}
