//! How NATS is run: with JetStream, and with as many accounts as are asked for.
//! An account is a name space of its own, for subjects and for streams, so each
//! test of a suite can have a `RUNLEDGER` stream on one and the same server.

use std::fmt::Write;
use std::fs;

use super::container::{Container, ContainerSpec};
use super::process::{self, Process};
use super::reaper::Reaper;
use super::server::{Home, Kind, Server};
use super::{ServersError, binaries, images, port};

const CONFIG_PATH: &str = "/etc/nats-server.conf";

pub(super) async fn in_container(reaper: &Reaper, accounts: usize) -> Result<Server, ServersError> {
    let spec = ContainerSpec {
        image: images::NATS,
        inner_port: 4222,
        arguments: ["--config", CONFIG_PATH].map(str::to_owned).to_vec(),
        file: Some((CONFIG_PATH, config("0.0.0.0", 4222, "/data", accounts))),
    };
    let container = Container::run(&spec, reaper).await?;
    let server = server(container.port, accounts, Home::Container(container));
    server.wait_until_ready().await?;
    Ok(server)
}

pub(super) async fn as_process(reaper: &Reaper, accounts: usize) -> Result<Server, ServersError> {
    let program = binaries::nats_server().await?;
    let directory = process::private_directory(reaper)?;
    let data = directory.join("data").display().to_string();
    let port = port::free()?;
    let config_path = directory.join("nats.conf");
    fs::write(&config_path, config("127.0.0.1", port, &data, accounts)).map_err(ServersError::PrivateDirectory)?;
    let command = vec![program.display().to_string(), "--config".to_owned(), config_path.display().to_string()];
    let process = Process::run(directory, port, command)?;
    let server = server(port, accounts, Home::Process(process));
    server.wait_until_ready().await?;
    Ok(server)
}

/// Account `i` has one user; its name, the user's and the password are `t<i>`.
pub(super) fn account_url(port: u16, account: usize) -> String {
    format!("nats://t{account}:t{account}@127.0.0.1:{port}")
}

fn server(port: u16, accounts: usize, home: Home) -> Server {
    Server {
        kind: Kind::Nats,
        url: match accounts {
            0 => format!("nats://127.0.0.1:{port}"),
            _ => account_url(port, 0),
        },
        home,
    }
}

fn config(host: &str, port: u16, store: &str, accounts: usize) -> String {
    let mut config = format!(
        "host: \"{host}\"\nport: {port}\n\
         jetstream {{ store_dir: \"{store}\", max_memory_store: 4GB, max_file_store: 256GB }}\n"
    );
    if accounts > 0 {
        config.push_str("accounts {\n");
        for i in 0..accounts {
            let users = format!("[{{ user: t{i}, password: t{i} }}]");
            let _ = writeln!(config, "  t{i} {{ jetstream: enabled, users: {users} }}");
        }
        config.push_str("}\n");
    }
    config
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn without_accounts_there_is_no_authentication() {
        assert!(!config("127.0.0.1", 4222, "/data", 0).contains("accounts"));
    }

    #[test]
    fn each_account_has_jetstream_and_one_user() {
        let config = config("127.0.0.1", 4222, "/data", 2);
        let last = "t1 { jetstream: enabled, users: [{ user: t1, password: t1 }] }";
        assert!(config.contains(last), "{config}");
    }
}
