//! What clients send to get along, which is about no key.

use super::args::{Args, capitals};
use super::refusal::Refusal;
use bytes::Bytes;

/// What is asked about the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// `HELLO`, with the version and the token if they are given.
    Hello(Option<i64>, Option<Bytes>),
    /// `AUTH` with a token, whatever user is named.
    Auth(Bytes),
    /// `PING`.
    Ping(Option<Bytes>),
    /// `ECHO`.
    Echo(Bytes),
    /// `SELECT`.
    Select(i64),
    /// `CLIENT` and a subcommand that is done by doing nothing.
    ClientDone,
    /// `CLIENT ID`.
    ClientId,
    /// `CLIENT GETNAME`.
    ClientName,
    /// `COMMAND COUNT`.
    CommandCount,
    /// `COMMAND` and its other subcommands, `CONFIG GET`: nothing is told.
    Nothing,
    /// `INFO`.
    Info,
    /// `RESET`.
    Reset,
    /// `QUIT`.
    Quit,
}

impl Talk {
    /// Reads a command by its name in capitals; nothing if it is none of these.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn read(name: &[u8], rest: &[Bytes]) -> Result<Option<Self>, Refusal> {
        let args = |command| Args::new(command, rest);
        Ok(Some(match name {
            b"PING" => {
                let mut args = args("ping");
                let said = args.opt();
                args.end()?;
                Talk::Ping(said)
            }
            b"ECHO" => Talk::Echo(args("echo").word()?),
            b"HELLO" => hello(args("hello"))?,
            b"AUTH" => {
                let mut args = args("auth");
                let first = args.word()?;
                let token = args.opt().unwrap_or(first);
                args.end()?;
                Talk::Auth(token)
            }
            b"SELECT" => Talk::Select(args("select").number()?),
            b"CLIENT" => client(args("client"))?,
            b"COMMAND" => match rest.first() {
                Some(sub) if sub.eq_ignore_ascii_case(b"count") => Talk::CommandCount,
                _ => Talk::Nothing,
            },
            b"CONFIG" => match rest.first() {
                Some(sub) if sub.eq_ignore_ascii_case(b"get") => Talk::Nothing,
                Some(sub) => return Err(Refusal::UnknownSub("CONFIG", sub.clone())),
                None => return Err(Refusal::Arity("config")),
            },
            b"INFO" => Talk::Info,
            b"RESET" => Talk::Reset,
            b"QUIT" => Talk::Quit,
            _ => return Ok(None),
        }))
    }
}

fn hello(mut args: Args<'_>) -> Result<Talk, Refusal> {
    let version = match args.opt() {
        None => return Ok(Talk::Hello(None, None)),
        Some(word) => std::str::from_utf8(&word)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Refusal::NoSuchVersion)?,
    };
    let mut token = None;
    while let Some(option) = args.opt() {
        let (option, length) = capitals(&option);
        match &option[..length] {
            b"AUTH" => {
                let _user = args.word()?;
                token = Some(args.word()?);
            }
            b"SETNAME" => drop(args.word()?),
            _ => return Err(Refusal::Syntax),
        }
    }
    Ok(Talk::Hello(Some(version), token))
}

fn client(mut args: Args<'_>) -> Result<Talk, Refusal> {
    let sub = args.word()?;
    let (name, length) = capitals(&sub);
    Ok(match &name[..length] {
        b"SETINFO" | b"SETNAME" | b"NO-EVICT" | b"NO-TOUCH" => {
            args.some()?;
            Talk::ClientDone
        }
        b"ID" => Talk::ClientId,
        b"GETNAME" => Talk::ClientName,
        _ => return Err(Refusal::UnknownSub("CLIENT", sub)),
    })
}
