//! The one test binary, a module per area. `support` spawns servers, talks to them and makes commands up.

mod check;
mod clients;
mod commands;
mod errors;
mod migration;
mod model;
mod persist;
mod regression;
mod shutdown;
mod snapshot;
mod support;
mod tidy;
mod tls;
