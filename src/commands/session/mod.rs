//! Commands about the client that sends them: who it is, which protocol it speaks, which clients there are.

mod client;
mod client_filter;
mod client_list;
mod connection;
mod hold;
mod tracking;

use crate::command::CommandSpec;
pub use client_list::description;

/// The family's rows, a table per topic.
pub(super) const TOPICS: &[&[CommandSpec]] =
    &[client::COMMANDS, client_list::COMMANDS, connection::COMMANDS, hold::COMMANDS, tracking::COMMANDS];
