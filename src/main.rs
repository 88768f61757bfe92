//! The `redstart` binary: the arguments (or the name it was called by) choose a mode, and the mode runs.

use redstart::config::{Config, cli};
use redstart::engine::Mailbox;
use redstart::engine::batch::Post;
use redstart::engine::event::Event;
use redstart::net::listener::Kind;
use redstart::server::StartError;
use redstart::world::Shutdown;
use redstart::{check, clock::Clock, logging, net::local, server, sys};
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Memory comes from Redstart's own allocator: eight-byte classes and an exact count of what is used.
#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let options = match cli::parse(&arguments) {
        cli::Command::Run(options) => options,
        cli::Command::CheckConfig(options) => {
            return match options.load(std::io::stdin()) {
                Ok(_) => {
                    println!("The configuration is valid.");
                    ExitCode::SUCCESS
                }
                Err(error) => refuse(&error.to_string()),
            };
        }
        cli::Command::Version => return print(&cli::version_text()),
        cli::Command::Help => return refuse(&cli::help_text()),
        cli::Command::TestMemory(_) => return refuse("Memory tests are not part of Redstart; memtester(8) does this well."),
        cli::Command::CheckSystem => return print("[OK] Redstart never forks: overcommit and huge pages need no setting.\n"),
        cli::Command::CheckRdb(arguments) => return verdict(check::rdb::run(&arguments, &mut std::io::stdout().lock())),
        cli::Command::CheckAof(arguments) => {
            let (mut answers, mut out) = (std::io::stdin().lock(), std::io::stdout().lock());
            return verdict(check::aof::run(&arguments, &mut answers, &mut out));
        }
    };
    match options.load(std::io::stdin()) {
        Ok(config) if config.sentinel_mode => {
            // Paths of scripts may start from there. If it cannot be entered, `serve` says so.
            let _ = std::env::set_current_dir(&config.dir);
            match redstart::sentinel::check(&config) {
                Ok(()) => serve(config, started),
                Err(error) => refuse(&error.to_string()),
            }
        }
        Ok(config) => serve(config, started),
        Err(error) => refuse(&error.to_string()),
    }
}

fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

/// What a checking tool ends with.
fn verdict(result: std::io::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        // What is told may go nowhere (a closed pipe); the answer then is no.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// Descriptors that the server needs beside those of its clients.
const RESERVED_FILES: u64 = 32;

fn serve(config: Config, started: Instant) -> ExitCode {
    if config.set_proc_title {
        sys::title::take();
    }
    let log = match logging::start(&config) {
        Ok(log) => log,
        Err(error) => return refuse(&format!("Can't open the log file {}: {error}", config.logfile)),
    };
    let supervised = matches!(config.supervised, redstart::config::Supervised::Systemd | redstart::config::Supervised::Auto);
    if config.daemonize
        && !supervised
        && let Err(error) = sys::process::daemonize()
    {
        return refuse(&format!("Can't become a daemon: {error}"));
    }
    if config.disable_thp && sys::process::decline_unasked_huge_pages() {
        redstart::raw::huge::allow();
    }
    redstart::raw::alloc::giver::start();
    let log_file = (!config.logfile.is_empty()).then(|| std::path::absolute(config.path(&config.logfile)).ok()).flatten();
    sys::crash::install(log_file.as_deref());
    sys::crash::configure(config.crash_log_enabled, config.use_exit_on_panic);
    info!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
    info!(
        "Redstart version={}, redis_version={}, bits=64, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        redstart::config::REDIS_VERSION,
        std::process::id()
    );
    match &config.config_file {
        Some(_) => info!("Configuration loaded"),
        None => warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use redstart /path/to/redis.conf"
        ),
    }
    if !config.dir.is_empty()
        && let Err(error) = std::env::set_current_dir(&config.dir)
    {
        return refuse(&format!("Can't chdir to '{}': {error}", config.dir));
    }
    if !config.pidfile.is_empty() || config.daemonize {
        let path = if config.pidfile.is_empty() { "/var/run/redis.pid" } else { &config.pidfile };
        if let Err(error) = std::fs::write(path, format!("{}\n", std::process::id())) {
            warn!("Failed to write PID file: {error}");
        }
    }
    let mut config = config;
    let files = sys::process::raise_open_files(config.maxclients as u64 + RESERVED_FILES);
    if files < config.maxclients as u64 + RESERVED_FILES {
        config.maxclients = files.saturating_sub(RESERVED_FILES).max(1) as i64;
        warn!("Current maximum open files is {files}. maxclients has been reduced to {} to compensate.", config.maxclients);
    }
    let defaults = Config::default();
    for directive in redstart::config::table::DIRECTIVES {
        if let redstart::config::Effect::None(reason) = directive.effect
            && directive.get(&config) != directive.get(&defaults)
        {
            info!("Directive '{}' is accepted but has no effect: {reason}", directive.name);
        }
    }
    let bound = match server::bind(&config) {
        Ok(bound) => bound,
        Err(StartError::Tls(refusal)) => {
            warn!("{refusal}");
            warn!("Failed to configure TLS. Check logs for more info.");
            return ExitCode::FAILURE;
        }
        Err(StartError::Address(error)) => {
            warn!("Warning: Could not create server TCP listening socket {}: bind: {}", error.address, error.error);
            warn!("Failed listening on port {}, aborting.", config.port);
            return ExitCode::FAILURE;
        }
    };
    server::settle_ports(&mut config, &bound);
    server::title::show(&config);
    let runtime = match redstart::net::runtime::engine() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("No runtime: {error}")),
    };
    let address = server::address_of(&bound, Kind::Tcp).or(server::address_of(&bound, Kind::Tls));
    let port = address.map_or(0, |address| address.port());
    let executable = std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default();
    let pidfile = config.pidfile.clone();
    let name = if config.sentinel_mode { "Sentinel" } else { "Redis" };
    let mut world = server::world(config, Clock::Real, port, executable);
    world.log = Some(log);
    let mode = world.mode();
    if world.config.always_show_logo {
        // Test suites recognise the process by this line.
        info!("Redstart {} ~ {mode} ~ Port: {port} ~ PID: {}", env!("CARGO_PKG_VERSION"), std::process::id());
    }
    info!("Running mode={mode}, port={port}. PID: {}", std::process::id());
    if let Err(errors) = world.load_users() {
        warn!("{errors}");
        return ExitCode::FAILURE;
    }
    if let Err(reason) = world.become_sentinel().and_then(|()| world.join_cluster()) {
        warn!("{reason}");
        return ExitCode::FAILURE;
    }
    let bus = match server::bind_bus(&world.config) {
        Ok(bus) => bus,
        Err(error) => {
            warn!("Failed listening on the port of the cluster bus, aborting: {error}");
            return ExitCode::FAILURE;
        }
    };
    info!("Server initialized");
    let outcome = runtime.block_on(async move {
        let mailbox = Mailbox::new(world);
        watch_signals(&mailbox);
        let kinds: Vec<&str> = [Kind::Tcp, Kind::Unix, Kind::Tls]
            .into_iter()
            .filter(|kind| bound.iter().any(|bound| bound.kind() == *kind))
            .map(|kind| kind.name())
            .collect();
        let loaded = move |outcome: Result<(), &str>| {
            if outcome.is_err() {
                return warn!("The data cannot be loaded. Exiting.");
            }
            kinds.iter().for_each(|kind| info!("Ready to accept connections {kind}"));
            tracing::debug!("Ready on port {port} after {:?}", started.elapsed());
            notify_supervisor("READY=1\nSTATUS=Ready to accept connections\n");
        };
        let outcome = server::serve(mailbox, bound, bus, loaded).await;
        notify_supervisor("STOPPING=1\n");
        outcome
    });
    // Whoever dropped it would free every key, one by one; the system takes the whole memory back at once.
    std::mem::forget(runtime);
    if !pidfile.is_empty() {
        let _ = std::fs::remove_file(&pidfile);
    }
    if outcome.shutdown.insist {
        return ExitCode::FAILURE;
    }
    warn!("{name} is now ready to exit, bye bye...");
    ExitCode::SUCCESS
}

/// SIGTERM and SIGINT end the server; a second SIGINT insists. SIGHUP is ignored. They are heard on a thread of their own, so
/// that insisting helps while the engine is busy saving.
fn watch_signals(mailbox: &Mailbox) {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let unfinished = mailbox.with(|engine| {
        let folder = std::path::Path::new(&engine.world.config.dir).to_owned();
        folder.join(format!("temp-{}.rdb", std::process::id()))
    });
    let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Ok(runtime) = redstart::net::runtime::io_thread() {
            runtime.block_on(hear_signals(&tell, ready, &unfinished));
        }
    });
    if let Err(error) = thread {
        warn!("No thread for signals, which will end the server without ceremony: {error}");
    }
    // Whoever sees that the server is ready may send one. An error says that there is no such thread.
    let _ = is_ready.recv();
    let mailbox = mailbox.clone();
    local::spawn(async move {
        while let Some(name) = told.recv().await {
            let wishes = mailbox.with(|engine| match name {
                "SIGTERM" => engine.world.config.shutdown_on_sigterm,
                _ => engine.world.config.shutdown_on_sigint,
            });
            let save = (wishes.save || wishes.nosave).then_some(wishes.save);
            mailbox.post(Event::Signal(Shutdown { save, now: wishes.now, force: wishes.force, insist: false }));
        }
    });
}

/// Tells of signals by their names. Ends the process itself when somebody insists; `unfinished` is the file that would be left.
async fn hear_signals(
    tell: &tokio::sync::mpsc::UnboundedSender<&'static str>,
    ready: std::sync::mpsc::Sender<()>,
    unfinished: &std::path::Path,
) {
    let kinds = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = kinds else {
        return warn!("Signals cannot be heard; they will end the server without ceremony");
    };
    drop(ready);
    let mut interrupted = false;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => continue,
        };
        if interrupted && name == "SIGINT" {
            warn!("You insist... exiting now.");
            let _ = std::fs::remove_file(unfinished);
            std::process::exit(1);
        }
        interrupted |= name == "SIGINT";
        warn!("Received {name} scheduling shutdown...");
        let _ = tell.send(name);
    }
}

/// Tells systemd how we are, if it started us.
fn notify_supervisor(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() {
        let _ = match path.to_str().and_then(|p| p.strip_prefix('@')) {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                std::os::unix::net::SocketAddr::from_abstract_name(name)
                    .and_then(|address| socket.send_to_addr(state.as_bytes(), &address))
            }
            None => socket.send_to(state.as_bytes(), &path),
        };
    }
}
