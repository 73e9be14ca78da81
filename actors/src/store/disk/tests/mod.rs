//! The store against a model, against power cuts, and against disks that fail.

mod failing;
mod files;
mod history;
mod limits;
mod model;
mod power_cut;
mod stamps;
pub(super) mod support;
mod vfs;
mod wear;
