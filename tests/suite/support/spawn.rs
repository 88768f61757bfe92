//! Servers as child processes: the built binary, or a real peer to compare with. Each gets its own directory and a free
//! port, is ready when its log says so, and ends with its handle.
//!
//! - `REDSTART_OURS`: what to test instead of the built binary: a command line, or `host:port` of a running server.
//! - `REDSTART_PEER`: command line of the server to compare with; else `redis-server` on PATH, else none.

use super::client::{Address, Client};
use super::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// A server that ends with this handle.
pub struct Server {
    /// Where it listens.
    pub address: Address,
    /// Its working directory, as this process sees it; empty for a server that somebody else started.
    pub directory: PathBuf,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

/// How to start a server.
#[derive(Clone, Debug)]
pub enum Program {
    CommandLine(Vec<String>),
    /// It runs already.
    Running(SocketAddr),
}

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(15);
/// A port can be taken between its choice and its use.
const ATTEMPTS: usize = 4;

/// The server under test.
pub fn ours() -> Program {
    let Some(text) = env("REDSTART_OURS") else {
        return Program::CommandLine(vec![env!("CARGO_BIN_EXE_redstart").to_owned()]);
    };
    let address = if text.contains(' ') { None } else { text.to_socket_addrs().ok().and_then(|mut all| all.next()) };
    address.map_or_else(|| Program::CommandLine(text.split_whitespace().map(str::to_owned).collect()), Program::Running)
}

/// The server to compare with, or `None` (and a line about it) where there is none.
pub fn peer() -> Option<Program> {
    if let Some(text) = env("REDSTART_PEER") {
        return Some(Program::CommandLine(text.split_whitespace().map(str::to_owned).collect()));
    }
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file()));
    if found.is_none() {
        println!("left out: there is no redis-server on PATH and REDSTART_PEER is not set");
    }
    Some(Program::CommandLine(vec![found?.to_str()?.to_owned()]))
}

impl Server {
    /// Starts a server with these further arguments (`["--appendonly", "yes"]`) and waits until it is ready.
    ///
    /// # Errors
    /// Why there is no server: with its log, if it wrote one.
    pub fn start(program: &Program, args: &[&str]) -> Result<Server, String> {
        let command = match program {
            Program::CommandLine(command) => command,
            Program::Running(_) if !args.is_empty() => return Err("a running server cannot be given arguments".into()),
            Program::Running(address) => {
                let (address, log) = (Address::Tcp(*address), Arc::default());
                return Ok(Server { address, directory: PathBuf::new(), child: None, log });
            }
        };
        let mut failed = String::new();
        for _ in 0..ATTEMPTS {
            match Server::attempt(command, args) {
                Err(error) if error.contains("Address already in use") => failed = error,
                done => return done,
            }
        }
        Err(failed)
    }

    /// Starts the server under test.
    ///
    /// # Panics
    /// If it does not start.
    pub fn ours(args: &[&str]) -> Server {
        Server::start(&ours(), args).unwrap_or_else(|error| panic!("the server under test does not start: {error}"))
    }

    /// Starts the server under test, or `None` (and a line about it) while the binary is no server yet.
    ///
    /// # Panics
    /// If it fails to start in any other way.
    pub fn ours_if_ready(args: &[&str]) -> Option<Server> {
        match Server::start(&ours(), args) {
            Ok(server) => Some(server),
            // A server never ends in success and silence before it is ready; an empty `main` does.
            Err(error) if error.contains("exit status: 0 ") && error.trim_end().ends_with("log:") => {
                println!("left out: the binary is no server yet");
                None
            }
            Err(error) => panic!("the server under test does not start: {error}"),
        }
    }

    /// A new connection.
    ///
    /// # Panics
    /// If the server does not take it.
    pub fn client(&self) -> Client {
        Client::connect(&self.address).unwrap_or_else(|error| panic!("no connection: {error}; log:\n{}", self.log()))
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }

    /// Everything it wrote to stdout and stderr so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// The same, once it says `text`: what the server has written takes a moment to be read here.
    pub fn log_with(&self, text: &str, patience: Duration) -> String {
        let deadline = std::time::Instant::now() + patience;
        loop {
            let log = self.log();
            if log.contains(text) || std::time::Instant::now() > deadline {
                return log;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Waits until it ends by itself; true if it does in time, and in success.
    pub fn ends_well_within(&mut self, patience: Duration) -> bool {
        let deadline = std::time::Instant::now() + patience;
        let Some(child) = &mut self.child else { return false };
        while std::time::Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn attempt(command: &[String], args: &[&str]) -> Result<Server, String> {
        let (name, own_args) = command.split_first().ok_or("an empty command line")?;
        let (directory, told) = directory(command)?;
        let port = free_port()?;
        let mut process = Command::new(name);
        process.args(own_args);
        process.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", &told, "--save", ""]);
        process.args(["--daemonize", "no", "--logfile", ""]).args(args);
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().map_err(|error| format!("{name}: {error}"))?;

        let log: Arc<Mutex<String>> = Arc::default();
        let (ready, is_ready) = mpsc::channel();
        let out = child.stdout.take().map(|out| Box::new(out) as Box<dyn std::io::Read + Send>);
        let err = child.stderr.take().map(|err| Box::new(err) as Box<dyn std::io::Read + Send>);
        for stream in out.into_iter().chain(err) {
            let (log, ready) = (log.clone(), ready.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    if let Ok(mut log) = log.lock() {
                        log.push_str(&line);
                        log.push('\n');
                    }
                    if line.contains("Ready to accept connections") {
                        let _ = ready.send(());
                    }
                }
            });
        }
        drop(ready);
        let address = Address::Tcp((Ipv4Addr::LOCALHOST, port).into());
        let mut server = Server { address, directory, child: Some(child), log };
        match is_ready.recv_timeout(START_MAX) {
            Ok(()) => Ok(server),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("not ready in {START_MAX:?}; log:\n{}", server.log())),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.child.as_mut().and_then(|child| child.wait().ok());
                let status = status.map_or_else(String::new, |status| status.to_string());
                Err(format!("ended with {status} before it was ready; log:\n{}", server.log()))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.directory.is_dir() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// A new directory for a server: its path here, and its path as the server knows it (which differs under chroot).
fn directory(command: &[String]) -> Result<(PathBuf, String), String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("redstart-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let root = match command {
        [program, root, ..] if Path::new(program).file_name().is_some_and(|name| name == "chroot") => Some(root),
        _ => None,
    };
    let here = root.map_or_else(std::env::temp_dir, |root| Path::new(root).join("tmp")).join(&name);
    std::fs::create_dir_all(&here).map_err(|error| format!("{}: {error}", here.display()))?;
    let told = root.map_or_else(|| here.display().to_string(), |_| format!("/tmp/{name}"));
    Ok((here, told))
}

/// A port that is free now, low enough that the cluster bus port above it exists too.
///
/// # Errors
/// The system's, or there is none.
pub fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        if port < 55_000 {
            return Ok(port);
        }
    }
    Err("no free port below 55000".into())
}
