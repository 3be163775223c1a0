//! A minimal Redis client that sends commands without the client under test.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Time limit for an answer of the server.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a command to the server behind a socket. Lists are returned as lines, and a server error
/// as `Err`.
pub(crate) fn ask_unix(socket: &Path, command: &[&str]) -> Result<String, String> {
    let stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    ask(stream, command)
}

/// Sends a command to the server on a local port.
pub(crate) fn ask_port(port: u16, command: &[&str]) -> Result<String, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    ask(stream, command)
}

fn ask(mut stream: impl Read + Write, command: &[&str]) -> Result<String, String> {
    let mut bytes = format!("*{}\r\n", command.len());
    for part in command {
        let _ = write!(bytes, "${}\r\n{part}\r\n", part.len());
    }
    let sent = stream.write_all(bytes.as_bytes());
    sent.map_err(|error| error.to_string())?;
    reply(&mut BufReader::new(stream))
}

fn reply(answer: &mut BufReader<impl Read>) -> Result<String, String> {
    let mut line = String::new();
    let read = answer.read_line(&mut line);
    read.map_err(|error| error.to_string())?;
    let Some((kind, text)) = line.trim_end().split_at_checked(1) else {
        return Err("the server hung up".to_owned());
    };
    let count: i64 = text.parse().unwrap_or(-1);
    match kind {
        "-" => Err(text.to_owned()),
        "$" if count >= 0 => {
            let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) + 2];
            let read = answer.read_exact(&mut bytes);
            read.map_err(|error| error.to_string())?;
            bytes.truncate(bytes.len() - 2);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let items: Result<Vec<_>, _> = (0..count).map(|_| reply(answer)).collect();
            Ok(items?.join("\n"))
        }
        _ => Ok(text.to_owned()),
    }
}
