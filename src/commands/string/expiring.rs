//! (to be written)
use crate::command::spec::*;
pub(super) const COMMANDS: &[CommandSpec] = &[];
