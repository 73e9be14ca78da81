//! Secrets: passwords and tokens as a type that wipes itself and prints nothing. (Keys of meters are [`wmbus::Key`].)

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password or a token. Wiped from memory when dropped; no `Display`, no `Serialize`.
///
/// ```
/// use omnigate_actors::secrets::Secret;
/// let password = Secret::new("correct horse".to_owned());
/// assert_eq!(format!("{password:?}"), "Secret(redacted)");
/// assert!(password.matches(b"correct horse"));
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over; no copy is left behind.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the same. How long this takes tells the secret's length at most, not how much of it was right.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let differences = secret
            .iter()
            .zip(candidate)
            .fold(0, |seen, (a, b)| std::hint::black_box(seen | (a ^ b)));
        secret.len() == candidate.len() && differences == 0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Accepts text only, and says so without repeating what was there instead, as serde's own messages would.
struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("true or false"), &self))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::invalid_type(Unexpected::Other("a number"), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;

    #[test]
    fn prints_nothing() {
        let secret = Some(Secret::new("s3cret".to_owned()));
        assert_eq!(format!("{secret:?}"), "Some(Secret(redacted))");
    }

    #[test]
    fn matches_only_the_same() {
        let secret = Secret::new("token".to_owned());
        assert!(secret.matches(b"token"));
        for other in [&b""[..], b"toke", b"tokens", b"tokem", b"Token", b"\0oken"] {
            assert!(!secret.matches(other), "{other:?}");
        }
        assert!(Secret::new(String::new()).matches(b""));
    }

    #[test]
    fn a_password_without_quotes_is_refused_without_repeating_it() {
        type Failure = serde::de::value::Error;
        let errors = [
            Secret::deserialize(IntoDeserializer::<Failure>::into_deserializer(1234_i64)),
            Secret::deserialize(IntoDeserializer::<Failure>::into_deserializer(1234_u64)),
            Secret::deserialize(IntoDeserializer::<Failure>::into_deserializer(1234_f64)),
            Secret::deserialize(IntoDeserializer::<Failure>::into_deserializer(true)),
        ]
        .map(|result| result.unwrap_err().to_string())
        .into_iter()
        .chain(["1234", "[1234]", "true"].map(|json| {
            serde_json::from_str::<Secret>(json)
                .unwrap_err()
                .to_string()
        }));
        for error in errors {
            assert!(
                !error.contains("1234") && error.contains("text in quotes"),
                "{error}"
            );
        }
        assert_eq!(
            serde_json::from_str::<Secret>(r#""1234""#)
                .unwrap()
                .expose(),
            "1234"
        );
    }
}
