//! NATS as it is spoken on the wire, for messages that no client library would send.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::harness::Sent;

/// A message of any bytes.
#[derive(Clone)]
pub struct RawMessage {
    pub subject: Vec<u8>,
    /// The whole block, from its status line to the empty line.
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

impl RawMessage {
    /// The message as it would be sent, with `status` behind the version and `lines` as its last headers.
    pub fn of(sent: &Sent, status: &str, lines: &[u8]) -> Self {
        let mut headers = format!("NATS/1.0{status}\r\n").into_bytes();
        for (name, value) in &sent.headers {
            headers.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        headers.extend_from_slice(lines);
        headers.extend_from_slice(b"\r\n");
        Self { subject: sent.subject.clone().into_bytes(), headers, payload: sent.payload.clone() }
    }

    /// On another subject.
    pub fn to(mut self, subject: &[u8]) -> Self {
        self.subject = subject.to_owned();
        self
    }
}

/// A connection to a NATS server.
pub struct RawNats {
    stream: BufReader<TcpStream>,
}

const INBOX: &str = "_INBOX.raw";

impl RawNats {
    pub async fn connect(url: &str) -> Self {
        let (credentials, address) = url.trim_start_matches("nats://").split_once('@').unwrap();
        let (user, pass) = credentials.split_once(':').unwrap();
        let mut nats = Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
        let info = nats.line().await.unwrap();
        assert!(info.starts_with("INFO "), "{info}");
        let options = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "user": user, "pass": pass, "lang": "raw", "version": "0", "protocol": 1,
        });
        nats.send(format!("CONNECT {options}\r\nSUB {INBOX} 1\r\n").as_bytes()).await;
        nats
    }

    /// Publishes with a request for an acknowledgement: the message's place in the stream, or the
    /// publisher's error.
    pub async fn publish(&mut self, message: &RawMessage) -> Result<u64, String> {
        let (headers, payload) = (&message.headers, &message.payload);
        let mut command = b"HPUB ".to_vec();
        command.extend_from_slice(&message.subject);
        command
            .extend_from_slice(format!(" {INBOX} {} {}\r\n", headers.len(), headers.len() + payload.len()).as_bytes());
        command.extend_from_slice(headers);
        command.extend_from_slice(payload);
        command.extend_from_slice(b"\r\n");
        self.send(&command).await;
        loop {
            let line = self.line().await?;
            let bytes: usize = match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["PING"] => {
                    self.send(b"PONG\r\n").await;
                    continue;
                }
                ["MSG", .., bytes] => bytes.parse().unwrap(),
                ["INFO", ..] => continue,
                _ => return Err(line),
            };
            let mut ack = vec![0; bytes + 2];
            self.stream.read_exact(&mut ack).await.unwrap();
            let ack: Value = serde_json::from_slice(&ack[..bytes]).unwrap();
            return match (&ack["error"], ack["seq"].as_u64()) {
                (Value::Null, Some(stream_seq)) => Ok(stream_seq),
                (error, _) => Err(error.to_string()),
            };
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The server may close the connection before it has read all; its answer says why.
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
