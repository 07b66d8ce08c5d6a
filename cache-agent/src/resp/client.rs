//! One client: what it said about itself, and what it is answered.

use super::command::{Command, Data};
use super::counts::Counts;
use super::data;
use super::info::{self, REDIS_VERSION, Rate};
use super::refusal::Refusal;
use super::reply::{Reply, Version};
use super::talk::Talk;
use crate::callers::{Caller, Callers};
use crate::calls::Agent;
use bytes::{Bytes, BytesMut};
use cache_core::clock::Tick;
use futures_util::future::{Either, join_all, ready};
use std::sync::Arc;

/// What all clients of the door share.
#[derive(Debug)]
pub struct Shared {
    /// The caches.
    pub agent: Agent,
    /// Who may call; everybody if nobody is asked.
    pub callers: Callers,
    /// The series.
    pub counts: Counts,
    /// Commands a second.
    pub rate: Rate,
    /// When the door was opened.
    pub began: Tick,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    id: i64,
    version: Version,
    /// Who it is, once it has said so.
    caller: Option<Caller>,
    /// It asked to be let go.
    pub is_done: bool,
}

impl Client {
    /// A client that has said nothing yet.
    pub fn new(shared: Arc<Shared>, id: i64) -> Self {
        Self {
            shared,
            id,
            version: Version::default(),
            caller: None,
            is_done: false,
        }
    }

    /// Answers commands in their order. Those that only read run at once with the reads
    /// beside them; everything else waits for what is before it.
    pub async fn answer(&mut self, commands: Vec<Result<Command, Refusal>>, out: &mut BytesMut) {
        let mut rest = commands.into_iter().peekable();
        while let Some(first) = rest.next() {
            if self.is_done {
                return;
            }
            let first = self.permitted(first);
            if let Some(reply) = self.at_once(&first) {
                reply.write(out, self.version);
                continue;
            }
            if !only_reads(&first) {
                let reply = self.one(first).await;
                reply.write(out, self.version);
                continue;
            }
            let mut reads = vec![Either::Right(read(&self.shared, first))];
            while let Some(next) = rest.next_if(only_reads) {
                let next = self.permitted(next);
                reads.push(match self.at_once(&next) {
                    Some(reply) => Either::Left(ready(reply)),
                    None => Either::Right(read(&self.shared, next)),
                });
            }
            for reply in join_all(reads).await {
                reply.write(out, self.version);
            }
        }
    }

    /// What the agent's own memory answers.
    fn at_once(&self, command: &Result<Command, Refusal>) -> Option<Reply> {
        let Ok(Command::Data(Data::Get(place))) = command else {
            return None;
        };
        let reply = data::at_once(&self.shared.agent, place)?;
        self.shared.counts.command(Some("get"), false);
        Some(reply)
    }

    /// The command, if this client may have it done.
    fn permitted(&self, command: Result<Command, Refusal>) -> Result<Command, Refusal> {
        if !self.shared.callers.ask() {
            return command;
        }
        let command = command?;
        if let Some((method, caches)) = command.asks_for() {
            let caller = self.caller.as_ref().ok_or(Refusal::Unknowable)?;
            caller.may(method, caches)?;
        }
        Ok(command)
    }

    /// Takes a client for whose token it has.
    fn know(&mut self, token: &[u8]) -> Result<(), Refusal> {
        let callers = &self.shared.callers;
        if !callers.ask() {
            return Err(Refusal::NoPassword);
        }
        let token = std::str::from_utf8(token).map_err(|_| Refusal::WrongPassword)?;
        self.caller = Some(callers.holder(token).ok_or(Refusal::WrongPassword)?);
        Ok(())
    }

    async fn one(&mut self, command: Result<Command, Refusal>) -> Reply {
        match command {
            Ok(Command::Talk(talk)) => {
                let answered = self.talk(talk);
                self.shared
                    .counts
                    .command(Some("connection"), answered.is_err());
                answered.unwrap_or_else(Reply::from)
            }
            other => read(&self.shared, other).await,
        }
    }

    fn talk(&mut self, talk: Talk) -> Result<Reply, Refusal> {
        Ok(match talk {
            Talk::Hello(version, token) => self.hello(version, token)?,
            Talk::Auth(token) => {
                self.know(&token)?;
                Reply::OK
            }
            Talk::Info if self.shared.callers.ask() && self.caller.is_none() => {
                return Err(Refusal::Unknowable);
            }
            Talk::Ping(None) => Reply::Status("PONG"),
            Talk::Ping(Some(said)) | Talk::Echo(said) => Reply::Bulk(said),
            Talk::Select(0) | Talk::ClientDone => Reply::OK,
            Talk::Select(_) => return Err(Refusal::NoSuchDatabase),
            Talk::ClientId => Reply::Number(self.id),
            Talk::ClientName => Reply::Null,
            Talk::CommandCount => Reply::Number(0),
            Talk::Nothing => Reply::Array(Vec::new()),
            Talk::Info => {
                let Shared {
                    agent,
                    counts,
                    rate,
                    began,
                    ..
                } = &*self.shared;
                Reply::text(info::text(agent, counts, rate, *began))
            }
            Talk::Reset => {
                (self.version, self.caller) = (Version::Two, None);
                Reply::Status("RESET")
            }
            Talk::Quit => {
                self.is_done = true;
                Reply::OK
            }
        })
    }

    fn hello(&mut self, version: Option<i64>, token: Option<Bytes>) -> Result<Reply, Refusal> {
        let version = match version {
            None => self.version,
            Some(2) => Version::Two,
            Some(3) => Version::Three,
            Some(_) => return Err(Refusal::NoSuchVersion),
        };
        if let Some(token) = token {
            self.know(&token)?;
        }
        if self.shared.callers.ask() && self.caller.is_none() {
            return Err(Refusal::Unknowable);
        }
        self.version = version;
        let number = match version {
            Version::Two => 2,
            Version::Three => 3,
        };
        Ok(Reply::Map(vec![
            ("server", Reply::text("redis")),
            ("version", Reply::text(REDIS_VERSION)),
            ("proto", Reply::Number(number)),
            ("id", Reply::Number(self.id)),
            ("mode", Reply::text("standalone")),
            ("role", Reply::text("master")),
            ("modules", Reply::Array(Vec::new())),
        ]))
    }
}

fn only_reads(command: &Result<Command, Refusal>) -> bool {
    command.as_ref().is_ok_and(Command::only_reads)
}

async fn read(shared: &Shared, command: Result<Command, Refusal>) -> Reply {
    let name = super::counts::name(&command);
    let answered = match command {
        Ok(Command::Data(data)) => data::run(&shared.agent, data).await,
        // The connection's own words are answered where it is known.
        Ok(Command::Talk(_)) => Err(Refusal::Syntax),
        Err(refusal) => Err(refusal),
    };
    shared.counts.command(name, answered.is_err());
    answered.unwrap_or_else(Reply::from)
}
