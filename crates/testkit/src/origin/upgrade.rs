//! Connections that stop being HTTP: WebSocket, and raw bytes.

use std::io;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ID_HEADER;
use super::connection::Line;
use crate::log::{Closing, Exchange, Outcome};
use crate::script::{Answer, Script};

/// Answers the handshake; `false` when the request asks for no such upgrade (answered 426).
pub(crate) async fn accept(
    writer: &mut OwnedWriteHalf,
    exchange: &mut Exchange,
    script: &Script,
) -> io::Result<bool> {
    let id = exchange.id.clone().unwrap_or_default();
    let asked = exchange.headers.lists("connection", "upgrade");
    let protocol = exchange.headers.get("upgrade").unwrap_or("").to_owned();
    let key = exchange.headers.get("sec-websocket-key");
    let answer = match (&script.answer, key) {
        (Answer::WebSocketEcho, Some(key))
            if asked && protocol.eq_ignore_ascii_case("websocket") =>
        {
            let accept = derive_accept_key(key.as_bytes());
            format!("upgrade: websocket\r\nsec-websocket-accept: {accept}\r\n")
        }
        (Answer::UpgradeEcho, _) if asked && !protocol.is_empty() => {
            format!("upgrade: {protocol}\r\n")
        }
        _ => {
            exchange.outcome = Outcome::Answered { status: 426, body_bytes: 0 };
            let answer = format!(
                "HTTP/1.1 426 Upgrade Required\r\n{ID_HEADER}: {id}\r\ncontent-length: 0\r\n\r\n"
            );
            writer.write_all(answer.as_bytes()).await?;
            return Ok(false);
        }
    };
    exchange.outcome = Outcome::Answered { status: 101, body_bytes: 0 };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\n{ID_HEADER}: {id}\r\nconnection: upgrade\r\n\
         {answer}\r\n"
    );
    writer.write_all(answer.as_bytes()).await?;
    Ok(true)
}

/// Echoes until the peer has enough. From here on bytes are not in the log.
pub(crate) async fn run(line: Line, answer: Answer) -> Closing {
    let (read, left) = line.reader.into_parts();
    let Ok(mut stream) = read.reunite(line.writer) else {
        return Closing::Broken;
    };
    if answer == Answer::WebSocketEcho {
        let mut socket =
            WebSocketStream::from_partially_read(stream, left, Role::Server, None).await;
        while let Some(message) = socket.next().await {
            match message {
                Ok(message) if message.is_text() || message.is_binary() => {
                    if socket.send(message).await.is_err() {
                        return Closing::Broken;
                    }
                }
                Ok(_) => {}
                Err(_) => return Closing::Broken,
            }
        }
        return Closing::ByPeer;
    }
    if stream.write_all(&left).await.is_err() {
        return Closing::Broken;
    }
    let mut piece = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return Closing::ByPeer,
            Ok(n) if stream.write_all(&piece[..n]).await.is_ok() => {}
            _ => return Closing::Broken,
        }
    }
}
