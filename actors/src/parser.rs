//! Parser: turns raw telegrams into telegrams with a checked link layer.

use actix::prelude::*;

use crate::raw_telegram::RawTelegram;

/// A telegram as the source delivered it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Parse(pub RawTelegram);
