//! Logs go to stderr, so that output on stdout stays clean. `RUST_LOG` chooses what is logged.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Our own words from `info` on, of the libraries only warnings; not of the clients of the servers,
/// because their loss is said once, by us.
pub const NORMAL: &str =
    "warn,async_nats=off,sqlx=error,runledger=info,ledger=info,projector=info,events=info,stack=info";

/// For commands that show on stdout what services would log.
pub const QUIET: &str = "error,ledger=off,runledger=info";

/// Starts logging; `default` is what is logged where `RUST_LOG` says nothing.
pub fn init(format: LogFormat, default: &str) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(&directives)
            .map_err(|error| anyhow::anyhow!("RUST_LOG={directives} is not understood: {error}"))?,
        _ => EnvFilter::new(default),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
