//! The settings that are being made, and how they are written.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use omnigate_actors::secrets::Secret;
use serde::Serialize;

use crate::settings::document::Mistake;
use crate::settings::{Environment, Settings};

/// Answers that make a settings file. What is absent has its default.
#[derive(Debug, Serialize)]
pub struct Draft {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[driver]`
    pub driver: Driver,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// A password that was asked for. It goes into a file of its own.
    #[serde(skip)]
    pub password: Option<Secret>,
}

/// `[gateway]`
#[derive(Debug, Serialize)]
pub struct Gateway {
    /// Its id in topics.
    pub id: String,
    /// Where it keeps its things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
}

/// `[driver]`
#[derive(Debug, Serialize)]
pub struct Driver {
    /// The dongle's port.
    pub path: String,
    /// What it hears.
    pub link_mode: String,
}

/// `[mqtt]`
#[derive(Debug, Serialize)]
pub struct Mqtt {
    /// The broker.
    pub url: String,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Who vouches for the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Draft {
    /// The settings that this would make.
    ///
    /// # Errors
    /// All mistakes in them.
    pub fn check(&self, environment: &Environment) -> Result<Settings, Vec<Mistake>> {
        let mut settings = Settings::parse(&self.text(), environment)?;
        if let Some(password) = &self.password {
            settings.mqtt.password = Some(password.clone());
        }
        Ok(settings)
    }

    /// Writes the settings, and the password into a folder beside them, where the service unit finds it too. Only its owner may read
    /// the password.
    ///
    /// # Errors
    /// Those of the file system; then nothing is half written.
    pub fn write(mut self, file: &Path) -> io::Result<()> {
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        if let Some(password) = self.password.take() {
            let secrets = folder.canonicalize()?.join(SECRETS);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&secrets)?;
            let beside = secrets.join("password");
            write_whole(&beside, password.expose(), 0o600)?;
            self.mqtt.password_file = Some(beside);
        }
        write_whole(file, &self.text(), 0o644)
    }

    fn text(&self) -> String {
        // Strings and paths of valid Unicode always make TOML; a path that is none is a mistake that parsing names.
        let sections = toml::to_string(self).unwrap_or_else(|error| format!("# {error}\n"));
        format!("{HEADER}\n{sections}")
    }
}

/// Puts a whole file in the place of the one that may be there.
fn write_whole(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{} cannot be written: {error}", file.display()),
        )
    };
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // A file that a broken-off attempt left may be readable for others.
    let _ = fs::remove_file(&beside);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            new.sync_all()
        })
        .and_then(|()| fs::rename(&beside, file))
        .map_err(named)
}

/// The folder of `LoadCredential=` in `deploy/omnigate.service`.
const SECRETS: &str = "mqtt";

const HEADER: &str = "# omnigate: settings, written by `omnigate setup`.
# deploy/omnigate.toml documents every key; `omnigate check-config` finds every mistake.
";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn draft() -> Draft {
        Draft {
            gateway: Gateway {
                id: "cellar".to_owned(),
                state_dir: None,
            },
            driver: Driver {
                path: "auto".to_owned(),
                link_mode: "c1a".to_owned(),
            },
            mqtt: Mqtt {
                url: "mqtts://broker.example".to_owned(),
                username: Some("gate \"way\"".to_owned()),
                password_file: None,
                ca_file: None,
            },
            password: Some(Secret::new("s3cret".to_owned())),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_the_password_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("etc/omnigate.toml");
        draft().write(&file).unwrap();
        let settings = Settings::load(&file, &Environment::default()).unwrap();
        assert_eq!(settings.gateway.id.to_string(), "cellar");
        assert_eq!(settings.mqtt.username.as_deref(), Some("gate \"way\""));
        assert_eq!(settings.mqtt.password.unwrap().expose(), "s3cret");
        assert!(!fs::read_to_string(&file).unwrap().contains("s3cret"));
        for (name, expected) in [
            ("omnigate.toml", 0o644),
            ("mqtt", 0o700),
            ("mqtt/password", 0o600),
        ] {
            let mode = fs::metadata(file.with_file_name(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, expected, "{name}");
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn mistakes_are_named_before_anything_is_written() {
        let mut wrong = draft();
        wrong.mqtt.url = "http://broker".to_owned();
        wrong.gateway.id = "a/b".to_owned();
        let mistakes: Vec<_> = wrong
            .check(&Environment::default())
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    }
}
