//! Lua scripts and functions.
//!
//! # The interpreter
//! LuaJIT 2.1's, without the compiler (`build.rs`): the fastest interpreter of Lua 5.1, whose formatting of numbers and messages
//! it keeps. Its code is not that of the reference interpreter, whose parser and `unpack` had CVE-2025-49844, 46817, 46818, 46819
//! and 2024-31449; precompiled code is never loaded. Tables have Lua's order of keys (`sys/lua/order.h`), and `string.format` is
//! Lua's (`format`).
//!
//! The compiler stays out. Measured apart from the server, each text compiled anew, best of 15, on a busy machine:
//!
//! | | 1,000,000 additions | 1,000 calls of a C function |
//! |---|---|---|
//! | interpreter | 4.2 ms | 14 µs |
//! | interpreter that counts instructions | 6.3 ms | 21 µs |
//! | compiler, built to ask hooks | 0.7 ms | 33 µs |
//! | the same, while instructions are counted | 273 ms | 1,266 µs |
//!
//! Scripts are calls of commands with little between them, and at each call a trace ends. A hook, without which no endless loop
//! could be ended, makes it give its traces up again and again. And machine code lies outside of the memory that is counted, in
//! pages that are written to and then executed.
//!
//! Processor time of the server in a build without LTO, 2 cores that others kept busy, best of 6 rounds in turn:
//!
//! | | Redstart | Redis 8.0.6 | Valkey 9.1.2 | Redis 7.0.15 |
//! |---|---|---|---|---|
//! | a script of 1,000 SET | 404 µs | 728 | 1,072 | 682 |
//! | a script of 1,000 GET | 247 µs | 377 | 640 | 384 |
//! | a script of 1,000 INCR | 282 µs | 434 | 731 | 409 |
//! | 1,000,000 additions | 4.3 ms | 6.7 | 6.5 | 7.0 |
//! | EVAL of one INCRBY, 16 in a pipeline | 1.79 µs | 2.84 | 3.02 | 2.69 |
//!
//! # How a script runs
//! The interpreter runs on a stack of its own (`sys::lua::Fiber`). A script that wants something of the server suspends itself
//! with an `Ask`; `dispatch::script` runs the command and resumes it with an `Answer`. So a script holds no reference to the
//! server, and one that takes too long is left suspended while the engine answers others: there is no nested event loop. One that
//! is debugged (`debugger`) is left suspended until its client's next command.
//!
//! # What stays between scripts
//! Compiled functions, and nothing that a script can write to: globals and libraries are read-only (`sandbox`), `math.random`
//! is seeded anew for each run, and memory is bounded for all that the interpreter holds (`MEMORY_MAX`).

mod api;
pub mod cache;
mod convert;
mod debugger;
pub mod flags;
mod format;
pub mod interpreter;
pub mod lib;
pub mod library;
mod random;
mod sandbox;

pub use convert::{Returned, push_error, string_field, write_reply};
pub use debugger::Debugger;
pub use interpreter::{Answer, Ask, Interpreter, Purpose, Run, Suspended};

use crate::resp::request::OwnedRequest;
use crate::session::Session;
use crate::sys::lua::Remains;
use cache::{Cache, Sha};
use flags::Flags;
use library::{Libraries, Library};
use std::time::Instant;

/// Memory that an interpreter may use, garbage included.
pub const MEMORY_MAX: usize = 512 << 20;

/// Scripts and functions of one server.
#[derive(Default)]
pub struct Scripting {
    /// Made when the first script comes.
    scripts: Option<Interpreter>,
    functions: Option<Interpreter>,
    pub cache: Cache,
    pub libraries: Libraries,
    /// The script that is about to run: its handler has checked everything.
    pub prepared: Option<Prepared>,
    /// The script that is suspended because it takes long.
    pub busy: Option<Busy>,
    /// The client that the commands of scripts think they serve, when no script runs.
    pub session: Option<Box<Session>>,
    pub evicted: u64,
}

/// A script ready to run, with its arguments on its interpreter's stack.
pub struct Prepared {
    pub interpreter: Interpreter,
    pub purpose: Purpose,
    /// What messages call it: its digest, or the function's name.
    pub name: Box<[u8]>,
    pub flags: Flags,
    pub read_only: bool,
    /// The session, if the script is to be debugged.
    pub debugger: Option<Box<Debugger>>,
}

/// About a script that takes long, for those who ask.
pub struct Busy {
    pub purpose: Purpose,
    pub name: Box<[u8]>,
    /// The request that runs it.
    pub request: OwnedRequest,
    pub started: Instant,
    /// It has changed keys: it cannot be ended any more.
    pub wrote: bool,
    /// It is to be ended.
    pub killed: bool,
    /// It is stopped in the debugger: nobody else is answered until that is over.
    pub debugged: bool,
}

/// There is no memory for an interpreter.
pub const NO_INTERPRETER: &[u8] = b"ERR not enough memory for a Lua interpreter";

impl Scripting {
    /// Takes an interpreter out to use it; `give_back` must follow.
    ///
    /// # Errors
    /// There is no memory for one.
    pub fn take(&mut self, purpose: Purpose) -> Result<Interpreter, &'static [u8]> {
        let place = match purpose {
            Purpose::Scripts => &mut self.scripts,
            Purpose::Functions => &mut self.functions,
        };
        match place.take() {
            Some(interpreter) => Ok(interpreter),
            None => Interpreter::new(purpose).map_err(|_| NO_INTERPRETER),
        }
    }

    /// Puts an interpreter back.
    pub fn give_back(&mut self, purpose: Purpose, interpreter: Interpreter) {
        match purpose {
            Purpose::Scripts => self.scripts = Some(interpreter),
            Purpose::Functions => self.functions = Some(interpreter),
        }
    }

    /// Compiles a script, unless it is known; returns its digest.
    ///
    /// # Errors
    /// The text for the client.
    pub fn add(&mut self, script: &[u8], forgettable: bool) -> Result<Sha, Vec<u8>> {
        let sha = self.cache.digest(script);
        if self.cache.get(&sha).is_some() {
            return Ok(sha);
        }
        let (flags, source) = flags::of_script(script)?;
        let mut interpreter = self.take(Purpose::Scripts)?;
        let compiled = interpreter.compile(source, c"@user_script");
        if let Ok(function) = compiled {
            if let Some(old) = self.cache.add(sha, script, flags, function, forgettable) {
                interpreter.release(old);
                self.evicted += 1;
            }
            self.give_back(Purpose::Scripts, interpreter);
            return Ok(sha);
        }
        self.give_back(Purpose::Scripts, interpreter);
        let message = compiled.err().unwrap_or_default();
        Err([b"ERR Error compiling script (new function): ", &message[..]].concat())
    }

    /// Forgets all scripts, and the interpreter that held them.
    pub fn flush_scripts(&mut self) {
        self.cache = Cache::default();
        self.scripts = None;
    }

    /// Loads a library; returns its name.
    ///
    /// # Errors
    /// The text for the client.
    pub fn load_library(&mut self, code: &[u8], replace: bool, limited: bool) -> Result<Box<[u8]>, Vec<u8>> {
        let (name, _) = library::parse(code)?;
        if !replace && self.libraries.contains(&name) {
            return Err([b"ERR Library '", &*name, b"' already exists"].concat());
        }
        let mut loaded = Libraries::default();
        self.load_into(&mut loaded, code, limited)?;
        self.join(loaded, replace)?;
        Ok(name)
    }

    /// Loads several libraries: all, or none. Those that exist are all dropped (`flush`), replaced, or in the way.
    ///
    /// # Errors
    /// The text for the client.
    pub fn restore_libraries(&mut self, codes: &[Box<[u8]>], flush: bool, replace: bool) -> Result<(), Vec<u8>> {
        let mut loaded = Libraries::default();
        for code in codes {
            if let Err(refusal) = self.load_into(&mut loaded, code, true) {
                self.release(loaded.take_all());
                return Err(refusal);
            }
        }
        if flush {
            let old = self.libraries.take_all();
            self.release(old);
        }
        self.join(loaded, replace)
    }

    fn load_into(&mut self, loaded: &mut Libraries, code: &[u8], limited: bool) -> Result<(), Vec<u8>> {
        let interpreter = self.take(Purpose::Functions)?;
        let (interpreter, library) = library::load(interpreter, code, limited.then_some(library::LOAD_LIMIT));
        self.give_back(Purpose::Functions, interpreter);
        let (name, library) = library?;
        if loaded.contains(&name) {
            self.release(vec![library]);
            return Err([b"ERR Library '", &*name, b"' already exists"].concat());
        }
        loaded.insert(name, library);
        Ok(())
    }

    fn join(&mut self, loaded: Libraries, replace: bool) -> Result<(), Vec<u8>> {
        match self.libraries.join(loaded, replace) {
            Ok(replaced) => {
                self.release(replaced);
                Ok(())
            }
            Err((refusal, mut loaded)) => {
                self.release(loaded.take_all());
                Err(refusal)
            }
        }
    }

    /// Drops a library; false if there is none of this name.
    pub fn delete_library(&mut self, name: &[u8]) -> bool {
        let library = self.libraries.remove(name);
        let found = library.is_some();
        self.release(library.into_iter().collect());
        found
    }

    /// Forgets all libraries. Returns the interpreter that held them, which may take long to drop, and the number of functions
    /// in it.
    pub fn flush_functions(&mut self) -> Option<(Remains, usize)> {
        let count = self.libraries.function_count();
        self.libraries.take_all();
        self.functions.take().map(|interpreter| (interpreter.retire(), count))
    }

    fn release(&mut self, libraries: Vec<Library>) {
        if let Some(interpreter) = &mut self.functions {
            let functions = libraries.into_iter().flat_map(|library| library.functions);
            functions.for_each(|function| interpreter.release(function.callback));
        }
    }

    /// Bytes of memory that the interpreters use: that of scripts, that of functions.
    pub fn vm_bytes(&self) -> (usize, usize) {
        let memory = |interpreter: &Option<Interpreter>| interpreter.as_ref().map_or(0, Interpreter::memory);
        (memory(&self.scripts), memory(&self.functions))
    }
}
