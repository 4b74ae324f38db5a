//! Tests against a real PostgreSQL, a real NATS and real `runledger` processes. One module a concern;
//! every test has a database and a NATS account of its own.

mod architecture;
mod archiving;
mod backpressure;
mod batches;
mod catalogue;
mod commands;
mod compatibility;
mod corrections;
mod dead_letters;
mod demo;
mod harness;
mod hostile_inputs;
mod importing;
mod outages;
mod plans;
mod projecting;
mod publishing;
mod rebuilding;
mod replaying;
mod services;
mod stream_upkeep;
mod takeover;
mod tenancy;
mod time_travel;
mod verifying;
mod workflows;
