//! What a command IS: its row in the table, its arguments, the context it runs in, the errors it answers with.
//! What a command DOES lives in `commands/`.

pub mod args;
pub mod context;
pub mod error;
pub mod getkeys;
pub mod permission;
pub mod secret;
pub mod spec;
pub mod syntax;
pub mod table;

pub use args::Args;
pub use context::{KeysCtx, ServerCtx, SessionCtx};
pub use error::CommandError;
pub use spec::{CommandResult, CommandSpec, Flow, Handler};
