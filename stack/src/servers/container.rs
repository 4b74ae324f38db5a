//! One server in a container of its own. `testcontainers` makes it; after that
//! it is handled by name through the `docker` command, which, unlike a client
//! object, works from any async runtime and from none.

use std::time::Duration;

use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

use super::images::Image;
use super::reaper::Reaper;
use super::{ServersError, command, port};

const PORT_ATTEMPTS_MAX: usize = 5;
const SHARED_MEMORY_BYTES: u64 = 256 << 20;

pub(super) struct Container {
    pub name: String,
    /// On 127.0.0.1; the same again after a stop and a start.
    pub port: u16,
}

pub(super) struct ContainerSpec {
    pub image: Image,
    pub inner_port: u16,
    pub arguments: Vec<String>,
    /// Path in the container and content.
    pub file: Option<(&'static str, String)>,
}

pub(super) async fn docker_answers() -> Result<(), ServersError> {
    let version = command::output("docker", ["version", "--format", "{{.Server.Version}}"]);
    match tokio::time::timeout(Duration::from_secs(10), version).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(ServersError::CommandFailed {
            command: "docker version".to_owned(),
            output: "no answer within 10 s".to_owned(),
        }),
    }
}

impl Container {
    pub async fn run(spec: &ContainerSpec, reaper: &Reaper) -> Result<Container, ServersError> {
        let mut attempt = 1;
        loop {
            match Container::run_once(spec, reaper, port::free()?).await {
                // Somebody took the port in between: "already allocated", "already in use".
                Err(ServersError::RunContainer { source, .. })
                    if attempt < PORT_ATTEMPTS_MAX && source.to_string().contains("already") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn run_once(spec: &ContainerSpec, reaper: &Reaper, port: u16) -> Result<Container, ServersError> {
        let (repository, tag) = spec.image;
        let name = format!("{repository}-{:08x}", rand::random::<u32>());
        reaper.announce_container(&name).map_err(ServersError::Reaper)?;
        let mut request = GenericImage::new(repository, tag)
            .with_container_name(&name)
            .with_cmd(&spec.arguments)
            .with_shm_size(SHARED_MEMORY_BYTES)
            .with_mapped_port(port, spec.inner_port.tcp())
            .with_host_config_modifier(|host| {
                let ports = host.port_bindings.iter_mut().flat_map(|map| map.values_mut());
                for binding in ports.flatten().flatten() {
                    binding.host_ip = Some("127.0.0.1".to_owned());
                }
            });
        if let Some((path, content)) = &spec.file {
            request = request.with_copy_to(*path, content.clone().into_bytes());
        }
        let container = request
            .start()
            .await
            .map_err(|source| ServersError::RunContainer { name: name.clone(), source: Box::new(source) })?;
        // Its removal on drop panics outside a runtime; the reaper removes it.
        std::mem::forget(container);
        Ok(Container { name, port })
    }

    pub async fn kill(&self) -> Result<(), ServersError> {
        command::output("docker", ["kill", &self.name]).await.map(drop)
    }

    pub async fn stop(&self) -> Result<(), ServersError> {
        command::output("docker", ["stop", &self.name]).await.map(drop)
    }

    pub async fn start(&self) -> Result<(), ServersError> {
        command::output("docker", ["start", &self.name]).await.map(drop)
    }

    pub async fn is_running(&self) -> bool {
        let format = "{{.State.Running}}";
        command::output("docker", ["inspect", "--format", format, &self.name])
            .await
            .is_ok_and(|running| running.trim() == "true")
    }

    pub async fn last_log_lines(&self) -> String {
        command::output("docker", ["logs", "--tail", "20", &self.name]).await.unwrap_or_else(|error| error.to_string())
    }
}
