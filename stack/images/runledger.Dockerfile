# The runledger binary, built beforehand on the same Debian release or an older
# one: `cargo build --release`.
FROM debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --no-create-home --shell /usr/sbin/nologin runledger

ARG BINARY=target/release/runledger
COPY ${BINARY} /usr/local/bin/runledger
USER runledger
EXPOSE 9090
ENTRYPOINT ["runledger"]
