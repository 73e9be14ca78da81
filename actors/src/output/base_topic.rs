//! The topics of the state output and of the bridge: everything below one base.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::meter::MeterId;

/// What the topics begin with: one or more levels of letters, digits, `-`, `_` and `.`, together at most 64 bytes.
///
/// ```
/// use omnigate_actors::output::base_topic::BaseTopic;
/// let base: BaseTopic = "home/omnigate".parse()?;
/// assert_eq!(base.bridge("state"), "home/omnigate/bridge/state");
/// assert!("a//b".parse::<BaseTopic>().is_err());
/// # Ok::<(), omnigate_actors::output::base_topic::BaseTopicError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseTopic(Arc<str>);

/// Text that is no base topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is 1 to 64 letters, digits, '-', '_', '.' and, between levels that are not empty, '/'")]
pub struct BaseTopicError;

impl BaseTopic {
    /// A topic of a meter: `<base>/kam_32666857/<rest>`, however the set message writes the meter's name.
    pub fn meter(&self, meter: MeterId, rest: &str) -> String {
        format!("{self}/{}/{rest}", object_id(meter))
    }

    /// A topic of the gateway: `<base>/bridge/<rest>`.
    pub fn bridge(&self, rest: &str) -> String {
        format!("{self}/bridge/{rest}")
    }

    /// `homeassistant`: where Home Assistant looks unless it is told otherwise.
    pub fn homeassistant() -> Self {
        Self("homeassistant".into())
    }
}

/// The meter's name in topics below the base: `kam_32666857`.
pub fn object_id(meter: MeterId) -> String {
    let manufacturer = meter.manufacturer.to_string().to_ascii_lowercase();
    format!("{manufacturer}_{}", meter.identification)
}

impl Default for BaseTopic {
    /// `omnigate`.
    fn default() -> Self {
        Self("omnigate".into())
    }
}

impl FromStr for BaseTopic {
    type Err = BaseTopicError;

    fn from_str(text: &str) -> Result<Self, BaseTopicError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let level = |level: &str| !level.is_empty() && level.bytes().all(allowed);
        if text.len() <= 64 && text.split('/').all(level) {
            Ok(Self(text.into()))
        } else {
            Err(BaseTopicError)
        }
    }
}

impl fmt::Display for BaseTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_has_one_name_however_it_is_written() {
        let base: BaseTopic = "omnigate".parse().unwrap();
        let meter = MeterId {
            manufacturer: "KAM".parse().unwrap(),
            identification: "666857".parse().unwrap(),
        };
        assert_eq!(base.meter(meter, "state"), "omnigate/kam_00666857/state");
    }

    #[test]
    fn wildcards_and_empty_levels_are_refused() {
        let long = "x".repeat(65);
        for bad in [
            "", "/", "a/", "/a", "a//b", "+", "a/#", "$SYS", "a b", "ä", &long,
        ] {
            assert_eq!(bad.parse::<BaseTopic>(), Err(BaseTopicError), "{bad:?}");
        }
    }
}
