//! The scripted origin as a process of its own, to be killed under load and started again.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::log::{ConnectionLog, Exchange};
use crate::log_file::read_log_file;

/// How the process is started.
#[derive(Clone, Debug)]
pub struct OriginProcessOptions {
    /// Where it listens; a free port when `None`. Give the old address to one that comes after a
    /// killed one.
    pub listen: Option<SocketAddr>,
    /// The log, appended to.
    pub log_file: PathBuf,
    /// Script of requests that bring none.
    pub default_script: Option<String>,
}

/// A running origin process. It is killed when it is dropped; its log stays.
#[derive(Debug)]
pub struct OriginProcess {
    child: Child,
    addr: SocketAddr,
    log_file: PathBuf,
}

impl OriginProcess {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When the program is missing and cannot be built, or the address is taken.
    pub fn start(options: &OriginProcessOptions) -> io::Result<Self> {
        let listen = options.listen.map_or_else(crate::ports::free_addr, Ok)?;
        let mut command = Command::new(crate::binary::test_origin()?);
        command.arg("--listen").arg(listen.to_string()).arg("--log").arg(&options.log_file);
        if let Some(script) = &options.default_script {
            command.arg("--script").arg(script);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut first = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut first)?;
        }
        let addr = first.trim().strip_prefix("listening ").and_then(|a| a.parse().ok());
        let Some(addr) = addr else {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("the test origin said {first:?}")));
        };
        Ok(Self { child, addr, log_file: options.log_file.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDR`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Reads its log, and that of its predecessors in the same file.
    ///
    /// # Errors
    /// As [`read_log_file`].
    pub fn read_log(&self) -> io::Result<(Vec<Exchange>, Vec<ConnectionLog>)> {
        read_log_file(&self.log_file)
    }
}

impl Drop for OriginProcess {
    fn drop(&mut self) {
        // Already ended is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
