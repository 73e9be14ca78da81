//! From one layer to the next, as the control information bytes lead.

use super::{Page, afl, apl, ell, link, tpl};
use crate::decoder::Decoder;
use crate::telegram::Plain;

/// Writes down all layers as far as they can be read.
pub(super) fn explain(page: &mut Page<'_>, decoder: &mut Decoder, plain: Option<&Plain<'_>>) {
    let behind = link::explain(page);
    let is_whole = ell::explain(page).and_then(|()| afl::explain(page));
    if is_whole.is_some() {
        explain_message(page, decoder, plain);
    }
    if let Some(behind) = behind {
        behind.explain(page);
    }
}

/// Writes down a message: the transport layer and what is above it.
pub(super) fn explain_message(
    page: &mut Page<'_>,
    decoder: &mut Decoder,
    plain: Option<&Plain<'_>>,
) {
    if let Some(application) = tpl::explain(page) {
        apl::explain(page, decoder, application, plain);
    }
}
