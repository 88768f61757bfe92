//! The one test binary.

mod commands;
