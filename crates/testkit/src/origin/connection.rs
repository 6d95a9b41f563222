//! One connection: request after request until someone ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::answer::{self, Sent};
use super::reader::{Body, Reader};
use super::{ID_HEADER, SCRIPT_HEADER, Shared, upgrade};
use crate::body::BodyDigest;
use crate::log::{Closing, Event, Exchange, Outcome};
use crate::script::{Answer, ContinuePolicy, KeepAlive, Script};
use crate::wire::{self, BodyEnd};

/// What follows an exchange.
enum Next {
    Again,
    End(Closing),
    Upgrade(Answer),
}

pub(crate) struct Line {
    pub(crate) reader: Reader,
    pub(crate) writer: OwnedWriteHalf,
    pub(crate) shared: Arc<Shared>,
    connection: u64,
}

pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let connection = shared.log.open_connection();
    // Small answers must not wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true).ok();
    let (read, writer) = stream.into_split();
    let reader = Reader::new(read, Arc::clone(&shared), connection);
    let mut line = Line { reader, writer, shared: Arc::clone(&shared), connection };
    let how = match run(&mut line).await {
        Next::Upgrade(answer) => upgrade::run(line, answer).await,
        Next::End(Closing::Reset) => {
            // The halves apart would say FIN when they go; the whole stream closed with a zero
            // linger says RST.
            if let Ok(stream) = line.reader.into_parts().0.reunite(line.writer) {
                set_socket_linger(&stream, Some(Duration::ZERO)).ok();
            }
            Closing::Reset
        }
        Next::End(how) => how,
        Next::Again => Closing::ByOrigin,
    };
    shared.log.note(&Event::Closed { connection, how });
}

async fn run(line: &mut Line) -> Next {
    let mut sequence = 0;
    loop {
        let idle = line.shared.options.idle.unwrap_or(Duration::MAX);
        let head = match tokio::time::timeout(idle, line.reader.head()).await {
            Err(_) => return Next::End(Closing::ByOrigin),
            Ok(Ok(Some(head))) => head,
            Ok(Ok(None)) => return Next::End(Closing::ByPeer),
            Ok(Err(_)) => return Next::End(Closing::Broken),
        };
        let mut exchange = line.read_exchange(&head, sequence);
        line.shared.log.note(&Event::Began(exchange.clone()));
        let next = line.exchange(&mut exchange).await;
        line.shared.log.note(&Event::Ended(exchange));
        match next {
            Next::Again => sequence += 1,
            other => return other,
        }
    }
}

impl Line {
    fn read_exchange(&self, head: &[u8], sequence: u64) -> Exchange {
        let mut exchange = Exchange {
            connection: self.connection,
            sequence,
            id: None,
            method: String::new(),
            target: String::new(),
            headers: wire::Headers::default(),
            body_bytes: 0,
            body_digest: None,
            anomalies: Vec::new(),
            outcome: Outcome::Pending,
        };
        match wire::parse_head(head) {
            Err(fault) => exchange.anomalies.push(fault),
            Ok((start, headers)) => {
                let mut words = start.split(' ');
                exchange.method = words.next().unwrap_or("").to_owned();
                exchange.target = words.next().unwrap_or("").to_owned();
                if words.next() != Some("HTTP/1.1") || words.next().is_some() {
                    exchange.anomalies.push(format!("start line {start:?}"));
                }
                if headers.all("host").len() != 1 {
                    exchange.anomalies.push(format!("{} Host", headers.all("host").len()));
                }
                for name in ["content-type", ID_HEADER, SCRIPT_HEADER, "authorization"] {
                    if headers.all(name).len() > 1 {
                        exchange.anomalies.push(format!("several {name}"));
                    }
                }
                if let Err(fault) = wire::declared_end(&headers) {
                    exchange.anomalies.push(fault);
                }
                exchange.id = headers.get(ID_HEADER).map(str::to_owned);
                exchange.headers = headers;
            }
        }
        exchange
    }

    async fn exchange(&mut self, exchange: &mut Exchange) -> Next {
        let header = exchange.headers.get(SCRIPT_HEADER);
        let script = match self.shared.script(header, &exchange.target) {
            Ok(script) if exchange.anomalies.is_empty() => script,
            Ok(_) => return self.refuse(exchange, "not proper HTTP/1.1").await,
            Err(fault) => return self.refuse(exchange, &fault).await,
        };
        let end = wire::declared_end(&exchange.headers).ok().flatten().unwrap_or(BodyEnd::None);
        let mut body = Body::from(end);
        if self.say_continue(exchange, &script, &body).await.is_err() {
            exchange.outcome = Outcome::Broken;
            return Next::End(Closing::Broken);
        }
        self.reader.begin_body();
        let reads_first = script.answer != Answer::Echo && !script.early;
        if reads_first && let Err(fault) = self.read_body(exchange, &mut body).await {
            return self.body_fault(exchange, &fault).await;
        }
        let next = self.answer(exchange, &script, &mut body).await;
        let reads_last = script.early && matches!(next, Next::Again);
        if reads_last && let Err(fault) = self.read_body(exchange, &mut body).await {
            return self.body_fault(exchange, &fault).await;
        }
        next
    }

    async fn answer(&mut self, exchange: &mut Exchange, script: &Script, body: &mut Body) -> Next {
        match &script.answer {
            Answer::Reset => {
                exchange.outcome = Outcome::AsScripted;
                return Next::End(Closing::Reset);
            }
            Answer::Never => {
                exchange.outcome = Outcome::AsScripted;
                self.reader.wait_for_end().await;
                return Next::End(Closing::ByPeer);
            }
            Answer::WebSocketEcho | Answer::UpgradeEcho => {
                let answered = upgrade::accept(&mut self.writer, exchange, script).await;
                return match answered {
                    Ok(true) => Next::Upgrade(script.answer.clone()),
                    Ok(false) => Next::Again,
                    Err(_) => Next::End(Closing::Broken),
                };
            }
            Answer::Normal | Answer::Echo | Answer::Raw(_) | Answer::Sse { .. } => {}
        }
        tokio::time::sleep(script.delay).await;
        match answer::send(self, exchange, script, body).await {
            Ok(Sent::Whole { body_bytes }) => {
                exchange.outcome = Outcome::Answered { status: script.status, body_bytes };
                let asked = exchange.headers.lists("connection", "close");
                let closes = asked || script.keep_alive != KeepAlive::Keep;
                if closes { Next::End(Closing::ByOrigin) } else { Next::Again }
            }
            Ok(Sent::Cut(how)) => {
                exchange.outcome = Outcome::AsScripted;
                Next::End(how)
            }
            Err(_) => {
                exchange.outcome = Outcome::Broken;
                Next::End(Closing::Broken)
            }
        }
    }

    async fn say_continue(
        &mut self,
        exchange: &Exchange,
        script: &Script,
        body: &Body,
    ) -> io::Result<()> {
        let expected = exchange.headers.lists("expect", "100-continue");
        let says = match script.continue_policy {
            ContinuePolicy::WhenExpected => expected && !script.early,
            ContinuePolicy::Always => !matches!(body, Body::Done),
            ContinuePolicy::Never => false,
        };
        if says {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        for status in &script.interim {
            let interim = format!("HTTP/1.1 {status} Interim\r\nlink: </a>; rel=preload\r\n\r\n");
            self.writer.write_all(interim.as_bytes()).await?;
        }
        Ok(())
    }

    async fn read_body(&mut self, exchange: &mut Exchange, body: &mut Body) -> io::Result<()> {
        let mut digest = BodyDigest::new();
        let mut piece = Vec::new();
        while self.reader.piece(body, &mut piece).await? {
            digest.update(&piece);
            exchange.body_bytes = digest.bytes();
        }
        exchange.body_digest = Some(digest.finish());
        Ok(())
    }

    async fn body_fault(&mut self, exchange: &mut Exchange, fault: &io::Error) -> Next {
        if fault.kind() == io::ErrorKind::InvalidData {
            exchange.anomalies.push(fault.to_string());
            return self.refuse(exchange, "body framing").await;
        }
        exchange.outcome = Outcome::Broken;
        Next::End(Closing::Broken)
    }

    async fn refuse(&mut self, exchange: &mut Exchange, why: &str) -> Next {
        exchange.outcome = Outcome::Refused;
        let text = format!("test origin: {why}: {:?}\n", exchange.anomalies);
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{text}",
            text.len()
        );
        // The peer may be gone; the book has the refusal either way.
        self.writer.write_all(answer.as_bytes()).await.ok();
        Next::End(Closing::ByOrigin)
    }
}
