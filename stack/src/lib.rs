//! runledger on throw-away servers: for the test suites of services that emit events, for a demo, for
//! a benchmark.
//!
//! A stack starts in about two seconds and leaves nothing behind, even when the process that holds it
//! is killed. Any number of them run side by side. It runs PostgreSQL and NATS in containers, or as
//! processes where Docker does not answer. In the tests of a service:
//!
//! ```
//! use events::{
//!     id::{RunId, StepId},
//!     payload::{RunCompleted, RunStarted, StepCompleted},
//! };
//! use stack::Stack;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stack = Stack::start().await?;
//! let org_id = stack.register_org("St. Mary Hospital").await?;
//!
//! // What the service under test does: it connects to `stack.nats_url()`.
//! let (run_id, step_id) = (RunId::generate(), StepId::generate());
//! let run = stack.emitter("/eligibility").run(org_id, run_id);
//! run.emit(&RunStarted::default()).await?;
//! run.emit(&StepCompleted { step_id, attempt: 0, output_data: None }).await?;
//! run.emit(&RunCompleted::default()).await?;
//!
//! let run = stack.wait_for_run(org_id, run_id, "completed").await?;
//! assert_eq!(run["steps"][0]["status"], "completed");
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Suites with many tests share the servers: start [`servers::Servers`] once with `nats_accounts`, and
//! give each test its own [`Stack::on`] them.

mod kit;
pub mod servers;

pub use kit::{Stack, StackError};
