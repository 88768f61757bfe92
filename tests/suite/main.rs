//! The one test binary, a module per area. `support` spawns servers, talks to them and makes commands up.

mod clients;
mod commands;
mod errors;
mod model;
mod persist;
mod regression;
mod snapshot;
mod support;
mod tidy;
mod tls;
