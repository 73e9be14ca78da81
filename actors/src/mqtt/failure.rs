//! Why something failed at the broker, with its return code and text.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use paho_mqtt::Error;

/// A connect, a subscription or a publish that failed, or a connection that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: Option<i32>,
    text: String,
}

impl Failure {
    /// A failure that the session itself noticed.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            code: None,
            text: text.into(),
        }
    }

    /// The broker answered a subscription with 0x80. Brokers do so when their access control forbids it.
    pub(super) fn subscription_refused() -> Self {
        Self {
            code: Some(0x80),
            text: "the broker refuses the subscription: access control?".to_owned(),
        }
    }

    /// There is no way to this address.
    pub(super) fn of_dialling(address: SocketAddr, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
            _ => error.to_string(),
        };
        Self {
            code: error.raw_os_error(),
            text: format!("no connection to {address}: {reason}"),
        }
    }

    /// The operating system's, the library's or the broker's return code, if there is one.
    pub fn code(&self) -> Option<i32> {
        self.code
    }
}

/// `not authorized (return code 5)`
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.code {
            Some(code) => write!(f, " (return code {code})"),
            None => Ok(()),
        }
    }
}

impl Failure {
    /// Why a connect failed. The library's own text is of little use in the commonest cases.
    pub(super) fn of_connect(error: Error) -> Self {
        let text = match &error {
            Error::ConnectReturn(code) => format!("the broker refuses the connection: {code}"),
            Error::TcpTlsConnectFailure | Error::Failure => {
                "no connection; if it is TLS, the authority, the certificate or the host name may be wrong"
                    .to_owned()
            }
            Error::TcpConnectTimeout => "the broker does not answer in time".to_owned(),
            Error::TcpConnectCompletionFailure | Error::SocketError(_) => {
                "the connection broke before the broker answered".to_owned()
            }
            other => other.to_string(),
        };
        Self {
            code: code(&error),
            text,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            text: error.to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = match &error {
            // The message itself stays out of it.
            Error::Publish(code, _) => Error::from(*code).to_string(),
            other => other.to_string(),
        };
        Self {
            code: code(&error),
            text,
        }
    }
}

/// The number behind an error, where the library keeps it.
fn code(error: &Error) -> Option<i32> {
    match error {
        Error::ConnectReturn(code) => Some(*code as i32),
        Error::Publish(code, _) | Error::SocketError(code) | Error::ReceivedDisconnect(code) => {
            Some(*code)
        }
        Error::Failure
        | Error::TcpConnectTimeout
        | Error::TcpConnectCompletionFailure
        | Error::TcpTlsConnectFailure => Some(-1),
        Error::Disconnected => Some(-3),
        Error::OperationIncomplete => Some(-11),
        Error::MaxBufferedMessages => Some(-12),
        _ => None,
    }
}

#[cfg(test)]
mod failure_tests {
    use super::*;
    use paho_mqtt::{ConnectReturnCode, Message};

    #[test]
    fn tells_code_and_text() {
        let refused = Error::ConnectReturn(ConnectReturnCode::NotAuthorized);
        assert_eq!(
            Failure::of_connect(refused).to_string(),
            "the broker refuses the connection: Not Authorized (return code 5)"
        );
        let publish = Error::Publish(-12, Message::new("topic", "payload", 1));
        assert_eq!(
            Failure::from(publish).to_string(),
            "Max buffered messages (return code -12)"
        );
        assert_eq!(Failure::new("no answer").to_string(), "no answer");
    }
}
