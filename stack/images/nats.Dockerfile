# NATS server 2.10 with JetStream; its streams lie in /data.
FROM debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends nats-server \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --no-create-home --shell /usr/sbin/nologin nats-run \
 && install -d -o nats-run -g nats-run -m 0700 /data

USER nats-run
VOLUME /data
EXPOSE 4222
ENTRYPOINT ["nats-server", "--addr", "0.0.0.0"]
CMD ["--jetstream", "--store_dir", "/data"]
