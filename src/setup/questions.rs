//! What is asked, unless the command line answers it.

use std::io;
use std::str::FromStr;

use dialoguer::{Input, Password};
use omnigate_actors::driver::dongle::Wanted;
use omnigate_actors::mqtt::BrokerUrl;
use omnigate_actors::secrets::Secret;

use super::Answers;
use super::draft::{Draft, Driver, Gateway, Mqtt};
use crate::settings::values::GatewayId;

/// Asks the operator, if there is one.
pub struct Asker {
    can_ask: bool,
}

impl Asker {
    /// `can_ask`: somebody sits at a terminal.
    pub fn new(can_ask: bool) -> Self {
        Self { can_ask }
    }

    /// Whether somebody can be asked.
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// All answers, or which one is missing.
    ///
    /// # Errors
    /// Where the terminal fails.
    pub fn draft(&self, answers: &Answers) -> io::Result<Result<Draft, &'static str>> {
        let Some(id) =
            self.answer::<GatewayId>(&answers.id, "The gateway's id, as the cloud knows it", None)?
        else {
            return Ok(Err("--id is needed where nobody can be asked"));
        };
        let url = self.or_default::<BrokerUrl>(
            &answers.url,
            "The broker: mqtt://HOST, or mqtts://HOST for TLS",
            "mqtt://localhost",
        )?;
        let username = match &answers.username {
            Some(username) => username.clone(),
            None => {
                self.or_default::<String>(&None, "The user name at the broker; empty for none", "")?
            }
        };
        let username = Some(username).filter(|name| !name.is_empty());
        let password = if username.is_some() && answers.password_file.is_none() && self.can_ask {
            let password = Password::new()
                .with_prompt("The password; empty for none")
                .allow_empty_password(true)
                .interact()?;
            Some(Secret::new(password)).filter(|password| !password.expose().is_empty())
        } else {
            None
        };
        let path = self.or_default::<String>(
            &answers.path,
            "The dongle's port; auto finds it by its name",
            "auto",
        )?;
        let link_mode = self.or_default::<Wanted>(
            &answers.link_mode,
            "What it hears: c1a, t1, c1t1 (both, with firmware 0x14 and later), s1, …",
            "c1a",
        )?;
        Ok(Ok(Draft {
            gateway: Gateway {
                id,
                state_dir: answers.state_dir.clone(),
            },
            driver: Driver { path, link_mode },
            mqtt: Mqtt {
                url,
                username,
                password_file: answers.password_file.clone(),
                ca_file: answers.ca_file.clone(),
            },
            password,
        }))
    }

    fn or_default<T: FromStr<Err: ToString>>(
        &self,
        given: &Option<String>,
        question: &str,
        default: &str,
    ) -> io::Result<String> {
        let answer = self.answer::<T>(given, question, Some(default))?;
        Ok(answer.unwrap_or_else(|| default.to_owned()))
    }

    /// The text of a `T`. An answer that is none is asked for again; what the command line gives is checked with all the settings.
    fn answer<T: FromStr<Err: ToString>>(
        &self,
        given: &Option<String>,
        question: &str,
        default: Option<&str>,
    ) -> io::Result<Option<String>> {
        if given.is_some() || !self.can_ask {
            return Ok(given.clone());
        }
        let mut input = Input::new().with_prompt(question);
        if let Some(default) = default {
            input = input
                .default(default.to_owned())
                .show_default(!default.is_empty());
        }
        input
            .allow_empty(default == Some(""))
            .validate_with(|text: &String| {
                text.parse::<T>()
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
            .interact_text()
            .map(Some)
            .map_err(io::Error::from)
    }
}
