//! One server process: started, paused, killed, and never left behind.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use super::{READY, ServerError};
use crate::testkit::until::until;

/// How much of a log goes into an error message.
const LOG_TAIL: usize = 2_000;

/// What to run, and the child that runs it now.
///
/// Holds std's `Child`, not tokio's: dropping must not only kill the server but
/// also wait for its end, before its folder and port are given back.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    /// User and group to run as, where the server refuses to be root.
    pub(super) user: Option<(u32, u32)>,
    pub(super) log: PathBuf,
    /// A signal that ends the server at once but lets it clean up what SIGKILL
    /// would leave behind on the machine.
    pub(super) ends_by: Option<&'static str>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    paused: bool,
}

impl Process {
    pub(super) fn new(name: String, program: PathBuf, log: PathBuf) -> Self {
        Self {
            name,
            program,
            args: Vec::new(),
            user: None,
            log,
            ends_by: None,
            running: Mutex::new(None),
        }
    }

    pub(super) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Starts the program; an already running one is killed first.
    pub(super) fn spawn(&self) -> Result<(), ServerError> {
        self.kill9();
        let doing = || format!("starting {} ({})", self.name, self.program.display());
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(ServerError::io(doing()))?;
        let errors = log.try_clone().map_err(ServerError::io(doing()))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C at a terminal ends the test; its Drop ends the server.
            .process_group(0);
        // What a server writes without saying where lands in its own folder too.
        if let Some(folder) = self.log.parent() {
            command.current_dir(folder);
        }
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let child = command.spawn().map_err(ServerError::io(doing()))?;
        *self.running.lock() = Some(Running {
            child,
            paused: false,
        });
        Ok(())
    }

    /// Waits until `probe` is true, and fails early when the server ends.
    pub(super) async fn ready<P, L>(&self, mut probe: P) -> Result<(), ServerError>
    where
        P: FnMut() -> L,
        L: Future<Output = bool>,
    {
        let waited = until(READY, "the server answers", || {
            let look = probe();
            async { self.ended().is_some() || look.await }
        })
        .await;
        let why = match (self.ended(), waited) {
            (Some(status), _) => format!("it ended with {status}"),
            (None, Err(timed_out)) => timed_out.to_string(),
            (None, Ok(())) => return Ok(()),
        };
        let log = self.log_tail();
        let server = self.name.clone();
        if log.to_lowercase().contains("address already in use") {
            return Err(ServerError::PortTaken { server, log });
        }
        Err(ServerError::NotUp { server, why, log })
    }

    /// Kills with SIGKILL and waits for the end.
    pub(super) fn kill9(&self) {
        if let Some(mut running) = self.running.lock().take() {
            // Both fail only for a child that has already been waited for.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// Stops the process where it stands: it keeps its connections and answers
    /// nothing.
    pub(super) async fn pause(&self) -> Result<(), ServerError> {
        let id = self.signal("STOP", true).await?;
        until(Duration::from_secs(5), "the process stops", || async {
            stopped(id)
        })
        .await?;
        Ok(())
    }

    /// Lets a paused process go on.
    pub(super) async fn resume(&self) -> Result<(), ServerError> {
        self.signal("CONT", false).await?;
        Ok(())
    }

    /// Runs and is not paused.
    pub(super) fn answers(&self) -> bool {
        self.ended().is_none()
            && self
                .running
                .lock()
                .as_ref()
                .is_some_and(|running| !running.paused)
    }

    async fn signal(&self, signal: &str, paused: bool) -> Result<u32, ServerError> {
        let id = match self.running.lock().as_mut() {
            Some(running) => {
                running.paused = paused;
                running.child.id()
            }
            None => {
                return Err(ServerError::NoSuch {
                    doing: "signal (it is down)",
                    subject: self.name.clone(),
                });
            }
        };
        let doing = format!("sending SIG{signal} to {}", self.name);
        let mut command = tokio::process::Command::from(kill_command(signal, id));
        let status = command.status().await.map_err(ServerError::io(&*doing))?;
        if status.success() {
            return Ok(id);
        }
        Err(ServerError::NoSuch {
            doing: "signal (it has ended)",
            subject: self.name.clone(),
        })
    }

    /// The exit status of a child that ended by itself.
    fn ended(&self) -> Option<String> {
        let mut running = self.running.lock();
        let status = running.as_mut()?.child.try_wait().ok().flatten()?;
        Some(status.to_string())
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(LOG_TAIL);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Some(signal), Some(running)) = (self.ends_by, self.running.lock().as_mut()) {
            let id = running.child.id();
            // CONT too: a paused process would never act on the signal.
            let sent = [signal, "CONT"].map(|signal| kill_command(signal, id).status());
            if sent
                .iter()
                .all(|sent| sent.as_ref().is_ok_and(|s| s.success()))
            {
                let _ = running.child.wait();
            }
        }
        self.kill9();
    }
}

/// The shell's own `kill`, because the program of that name is not installed
/// everywhere and a system call would need unsafe code.
fn kill_command(signal: &str, id: u32) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"kill -"$1" "$2""#, "sh", signal, &id.to_string()])
        .stderr(Stdio::null());
    command
}

/// Where there is no `/proc`, the signal is taken to have worked.
fn stopped(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.map_or(true, |stat| {
        let state = stat.rsplit(')').next().unwrap_or_default();
        state.trim_start().starts_with('T')
    })
}
