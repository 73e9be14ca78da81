//! Where passwords and tokens come from: the first of these that has one. An empty variable counts as none.
//!
//! 1. the environment: `OMNIGATE_MQTT_PASSWORD`, `OMNIGATE_MQTT_STOP_TOKEN`;
//! 2. systemd credentials (`LoadCredential=` in the unit): files `mqtt_password`, `mqtt_stop_token` in `$CREDENTIALS_DIRECTORY`;
//! 3. the file that the settings name: `password_file`, `stop_token_file`;
//! 4. the settings themselves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use omnigate_actors::secrets::Secret;

/// What the service manager gave to the program, as far as settings may come from there.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Secret>,
    credentials: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    let name = name
                        .into_string()
                        .ok()
                        .filter(|name| name.starts_with(PREFIX))?;
                    // What is not UTF-8 cannot be sent as it is; better refused by the broker than left out in silence.
                    Some((name, Secret::new(value.to_string_lossy().into_owned())))
                })
                .collect(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// With these variables and this folder of credentials.
    pub fn new<const N: usize>(variables: [(&str, &str); N], credentials: Option<PathBuf>) -> Self {
        let secret = |(name, value): (&str, &str)| (name.to_owned(), Secret::new(value.to_owned()));
        Self {
            variables: variables.into_iter().map(secret).collect(),
            credentials,
        }
    }
}

/// The secret `name` of the section, unless only the settings themselves can have it.
///
/// # Errors
/// Why a file that is there cannot be used.
pub(super) fn find(
    section: &str,
    name: &str,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Option<Secret>, String> {
    let variable = format!(
        "{PREFIX}{}_{}",
        section.to_ascii_uppercase(),
        name.to_ascii_uppercase()
    );
    if let Some(secret) = environment
        .variables
        .get(&variable)
        .filter(|secret| !secret.expose().is_empty())
    {
        return Ok(Some(secret.clone()));
    }
    if let Some(folder) = &environment.credentials {
        let credential = folder.join(format!("{section}_{name}"));
        match read(&credential) {
            Ok(secret) => return Ok(Some(secret)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "the credential {} cannot be read: {error}",
                    credential.display()
                ));
            }
        }
    }
    match file.map(read) {
        None => Ok(None),
        Some(Ok(secret)) if secret.expose().is_empty() => Err("the file is empty".to_owned()),
        Some(Ok(secret)) => Ok(Some(secret)),
        Some(Err(error)) => Err(format!("cannot be read: {error}")),
    }
}

/// The file's text; editors end it with a line break that is not part of the secret.
fn read(file: &Path) -> io::Result<Secret> {
    let mut text = std::fs::read_to_string(file)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

const PREFIX: &str = "OMNIGATE_";
