//! One child process: its log, its end, and the promise that it does not outlive this program.
//!
//! Children run in a process group of their own, so that Ctrl-C reaches this program alone, which stops them in order.
//! Where util-linux's `setpriv` is installed they are started through it with `--pdeathsig KILL`: the kernel kills them when
//! this program dies, however it dies. The kernel means the *thread* that started them, so one thread that lives as long as
//! the program starts them all. Without `setpriv`, a program that is itself killed with SIGKILL leaves its children behind.
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Error;
use crate::probe::wait_until;

/// Settings of the surrounding shell that would turn one profile into another.
const OURS: [&str; 4] = ["NUGUL_MYSQL_URL", "NUGUL_PAYMENT_MYSQL_URL", "NUGUL_REDIS_URL", "NUGUL_OPENSEARCH_URL"];
const KILL_WAIT: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 25;

/// A command line with its settings.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: Option<PathBuf>,
    /// It ends when its input closes, so its input stays open as long as we hold it.
    pub(crate) until_input_closes: bool,
}

impl Spec {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), dir: None, until_input_closes: false }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    pub(crate) fn until_input_closes(mut self) -> Self {
        self.until_input_closes = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = if let Some(setpriv) = setpriv() {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        for name in OURS {
            command.env_remove(name);
        }
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value))).process_group(0);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }
}

/// A started process (or one that has ended).
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it; what it writes is added to `log`.
    pub(crate) fn start(name: &str, spec: &Spec, log: &Path) -> Result<Self, Error> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let (out, err) =
            open().and_then(|out| Ok((out, open()?))).map_err(|error| Error::io("cannot write", log, &error))?;
        if spec.program.is_absolute() && !spec.program.exists() {
            return Err(Error::new(format!(
                "{name}: {} is not there; run `cargo xtask build`",
                spec.program.display()
            )));
        }
        let mut command = spec.command();
        let input = if spec.until_input_closes { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(out).stderr(err);
        let child = spawn(command)
            .map_err(|error| Error::new(format!("{name}: cannot start {}: {error}", spec.program.display())))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child, ended: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// An error that shows the end of the log.
    pub(crate) fn failure(&self, what: &str) -> Error {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n  ");
        Error::new(format!("{} {what}; the end of {}:\n  {tail}", self.name, self.log.display()))
    }

    /// Sends a signal to the process and what it started.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // A process that ended just now is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Ends what a process that has ended started and left behind: it may hold the ports.
    pub(crate) fn end_the_rest(&self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Mostly there is nothing.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// SIGTERM, and SIGKILL when that does not end it in time.
    pub(crate) fn stop(&mut self, grace: Duration) {
        self.signal(Signal::TERM);
        if !wait_until(grace, || self.ended().is_some()) {
            self.kill();
        }
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        wait_until(KILL_WAIT, || self.ended().is_some());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn setpriv() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"].map(Path::new).into_iter().find(|path| path.exists())
}

type Request = (Command, Sender<io::Result<Child>>);

/// Starts the command on the one thread that lives as long as the program.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, received) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                // A requester that went away drops the child's handle; the process ends with this program.
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let (answer, result) = mpsc::channel();
    spawner.send((command, answer)).map_err(|_| io::Error::other("the starting thread ended"))?;
    result.recv().map_err(|_| io::Error::other("the starting thread ended"))?
}
