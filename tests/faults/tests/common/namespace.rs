//! Networks of a test's own. They need the rights of root.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A network namespace, with a shell in it that keeps it alive.
pub(crate) struct Namespace {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("unshare (of util-linux) is needed");
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let mut namespace = Namespace { shell, input, output };
        namespace.run("ip link set lo up");
        namespace
    }

    /// Runs a command of the shell, which must succeed: what it said.
    pub(crate) fn run(&mut self, command: &str) -> String {
        let _ = writeln!(self.input, "{command} 2>&1; echo \"done $?\"");
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let more = self.output.read_line(&mut line).unwrap();
            assert!(more > 0, "no network namespace: this test needs the rights of root, and `ip`");
            match line.strip_prefix("done ") {
                Some(code) => {
                    assert_eq!(code.trim(), "0", "{command}: {said}");
                    return said;
                }
                None => said.push_str(&line),
            }
        }
    }

    /// Its number, for [`enter`].
    pub(crate) fn id(&self) -> u32 {
        self.shell.id()
    }
}

/// Moves this thread, and those that it will start, into a namespace.
pub(crate) fn enter(id: u32) {
    let file = File::open(format!("/proc/{id}/ns/net")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
