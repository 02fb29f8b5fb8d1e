//! Runs the examples as programs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is running. Dropping it ends it.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts `program`, given by its path.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Program {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Program { stdin: child.stdin.take(), child, lines }
    }

    /// Starts a server on a port that is free; gives its target too.
    pub(crate) fn server(program: &str, more: &[&Path]) -> (Program, String) {
        let mut arguments = vec!["server", "127.0.0.1:0"];
        arguments.extend(more.iter().map(|path| path.to_str().unwrap()));
        let server = Program::start(program, &arguments);
        let line = server.line();
        let target = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("no address: {line}"));
        (server, target.to_owned())
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program prints another line")
    }

    /// Types a line.
    #[allow(dead_code, reason = "not every example reads")]
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its end; gives what it printed, and whether it succeeded.
    pub(crate) fn end(mut self) -> (Vec<String>, bool) {
        drop(self.stdin.take());
        let lines = std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        (lines, self.child.wait().unwrap().success())
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(self) -> (Vec<String>, bool) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.end()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `program` to its end.
#[allow(dead_code, reason = "not every example needs it")]
pub(crate) fn run(program: &str, arguments: &[&str]) -> (Vec<String>, bool) {
    Program::start(program, arguments).end()
}
