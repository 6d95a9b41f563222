//! An origin that gives its answers in their order, and keeps what it was asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_base::{SharedClock, SystemClock};
use plimsoll_drills::journey::{
    self, Ran, Runner, RunnerOptions, Secrets, Variables, parse, variable,
};
use plimsoll_outbound::{Outbound, OutboundOptions};

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// One answer for each connection, then none.
    pub(crate) fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<String> = answers.iter().map(|one| (*one).to_owned()).collect();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                for answer in answers {
                    let (mut stream, _) = listener.accept().unwrap();
                    let Some(asked) = asked(&mut stream) else { return };
                    // Kept first: whoever has the answer looks at once.
                    seen.lock().unwrap().push(asked);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Self { address, seen, thread: Some(thread) }
    }

    /// What it was asked: head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Whoever still waits for a connection gets one without a request.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            drop(TcpStream::connect(self.address));
            std::thread::yield_now();
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// None where nobody asked anything.
fn asked(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&asked).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => asked.extend_from_slice(&buffer[..count]),
        }
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: &str, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )
}

/// Runs a journey against it.
pub(crate) fn run(origin: &Origin, text: &str, given: &[&str], secret: &[&str]) -> Ran {
    run_on(&format!("http://{}", origin.address), text, given, secret)
}

pub(crate) fn run_on(base: &str, text: &str, given: &[&str], secret: &[&str]) -> Ran {
    let journey = parse(text, Path::new("a.hurl")).unwrap_or_else(|faults| panic!("{faults:?}"));
    let (mut variables, mut secrets) = (Variables::default(), Secrets::default());
    for one in given {
        let (name, value) = variable(one).unwrap();
        variables.set(&name, value).unwrap();
    }
    for one in secret {
        let (name, value) = journey::secret(one).unwrap();
        secrets.hide_value(&value);
        variables.set(&name, value).unwrap();
    }
    let clock: SharedClock = SystemClock::shared();
    let options = RunnerOptions {
        base: base.to_owned(),
        private_elsewhere: false,
        outbound: Outbound::new(OutboundOptions::default()).unwrap(),
        clock,
    };
    let runner = Runner::new(options).unwrap();
    let mut next = 0;
    let mut random = move || {
        next += 1;
        next
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(runner.run("a", &journey, variables, secrets, &mut random))
}
