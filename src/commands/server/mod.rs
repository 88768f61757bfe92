//! Commands about the server: its configuration, figures, command table, memory, slow commands, and what tests need.

mod command;
mod config;
mod debug;
mod digest;
mod info;
mod key_sizes;
mod latency;
mod memory;
mod persistence;
mod process;
mod safety;
mod slowlog;

use crate::command::CommandSpec;

/// The family's rows, a table per topic.
pub(super) const TOPICS: &[&[CommandSpec]] = &[
    command::COMMANDS,
    config::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    persistence::COMMANDS,
    process::COMMANDS,
    safety::COMMANDS,
    slowlog::COMMANDS,
];
