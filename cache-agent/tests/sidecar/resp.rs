//! The RESP door, as clients of Redis see it.

use crate::world::{World, quick};
use cache_agent::config::Limits;
use cache_core::testkit::until::until;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, Value, cmd};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(world: &World, version: &str) -> MultiplexedConnection {
    let url = format!("redis://{}/?protocol={version}", world.resp);
    let client = redis::Client::open(url).expect("an address");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("the door is open")
}

/// One command, its words separated by spaces.
async fn ask<T: FromRedisValue>(
    client: &mut MultiplexedConnection,
    words: &str,
) -> Result<T, RedisError> {
    let mut words = words.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    for word in words {
        command.arg(word);
    }
    command.query_async(client).await
}

/// What is answered to these bytes until the door closes the connection.
pub(crate) async fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.resp).await.expect("it is open");
    stream.write_all(bytes).await.expect("it is read");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    read.expect("the door closes it").expect("it is text");
    answer
}

#[tokio::test]
async fn the_commands_of_redis_do_what_they_do_there() {
    let world = World::embedded().await;
    for version in ["resp2", "resp3"] {
        let client = &mut connect(&world, version).await;
        let text = async |client: &mut _, words: &str| {
            ask::<Option<String>>(client, words).await.expect(words)
        };
        let number =
            async |client: &mut _, words: &str| ask::<i64>(client, words).await.expect(words);
        assert_eq!(text(client, "GET notes:1").await, None);
        assert_eq!(text(client, "SET notes:1 one").await.unwrap(), "OK");
        assert_eq!(text(client, "get notes:1").await.unwrap(), "one");
        assert_eq!(text(client, "SET notes:1 two NX").await, None);
        assert_eq!(number(client, "SETNX notes:1 two").await, 0);
        assert_eq!(number(client, "SETNX notes:2 two").await, 1);
        let many: Vec<Option<String>> = ask(client, "MGET notes:1 notes:0 notes:2")
            .await
            .expect("it answers");
        let many: Vec<_> = many.iter().map(Option::as_deref).collect();
        assert_eq!(many, [Some("one"), None, Some("two")]);
        assert_eq!(number(client, "EXISTS notes:1 notes:0 notes:2").await, 2);

        assert_eq!(number(client, "TTL notes:0").await, -2);
        assert_eq!(text(client, "SETEX notes:3 100 x").await.unwrap(), "OK");
        let left = number(client, "TTL notes:3").await;
        assert!((80..=120).contains(&left), "{left} s");
        assert_eq!(text(client, "SET notes:3 x PX 50000").await.unwrap(), "OK");
        let left = number(client, "PTTL notes:3").await;
        assert!((40_000..=60_000).contains(&left), "{left} ms");
        assert_eq!(number(client, "EXPIRE notes:3 1000").await, 1);
        let left = number(client, "TTL notes:3").await;
        assert!((800..=1_200).contains(&left), "{left} s");
        assert_eq!(number(client, "EXPIRE notes:0 1000").await, 0);

        assert_eq!(number(client, "DEL notes:1 notes:2").await, 2);
        assert_eq!(number(client, "UNLINK notes:3").await, 1);
        assert_eq!(number(client, "EXISTS notes:1 notes:2 notes:3").await, 0);
        assert_eq!(text(client, "PING").await.unwrap(), "PONG");
        assert_eq!(text(client, "PING there").await.unwrap(), "there");
        let info = text(client, "INFO").await.unwrap();
        assert!(info.contains("\r\nkeyspace_hits:"), "{info}");
    }
}

#[tokio::test]
async fn a_lease_loads_once_and_a_fill_after_an_invalidation_is_refused() {
    let world = World::embedded().await;
    let client = &mut connect(&world, "resp2").await;
    type Leased = (String, Option<String>, Option<String>, i64);
    let lease = async |client: &mut _| ask::<Leased>(client, "CACHE.GETL users:7 WAIT 0").await;
    let (state, value, token, _) = lease(client).await.expect("it answers");
    assert_eq!((state.as_str(), value), ("MISS", None));
    let token = token.expect("the first one loads");
    let (state, _, second, after) = lease(client).await.expect("it answers");
    assert_eq!((state.as_str(), second), ("MISS", None));
    assert!(after > 0, "and when to ask again");
    let fill = format!("CACHE.FILL users:7 {token} seven PX 60000 TAG team:3");
    assert_eq!(ask::<String>(client, &fill).await.unwrap(), "STORED");
    assert_eq!(ask::<String>(client, &fill).await.unwrap(), "LEASE_LOST");
    let (state, value, ..) = lease(client).await.expect("it answers");
    assert_eq!((state.as_str(), value.as_deref()), ("HIT", Some("seven")));
    assert_eq!(ask::<String>(client, "GET users:7").await.unwrap(), "seven");

    let all = "CACHE.INVALIDATE users TAG team:3";
    assert_eq!(ask::<String>(client, all).await.unwrap(), "OK");
    let (_, _, token, _) = lease(client).await.expect("it answers");
    let token = token.expect("it is gone");
    let key = "CACHE.INVALIDATE users KEY 7";
    assert_eq!(ask::<String>(client, key).await.unwrap(), "OK");
    let fill = format!("CACHE.FILL users:7 {token} old");
    assert_eq!(ask::<String>(client, &fill).await.unwrap(), "SUPERSEDED");

    let (_, _, token, _) = lease(client).await.expect("it answers");
    let token = token.expect("nobody has it");
    let absent = format!("CACHE.FILL users:7 {token} - ABSENT");
    assert_eq!(ask::<String>(client, &absent).await.unwrap(), "STORED");
    assert_eq!(lease(client).await.unwrap().0, "ABSENT");
    assert_eq!(
        ask::<Value>(client, "GET users:7").await.unwrap(),
        Value::Nil
    );
}

#[tokio::test]
async fn what_is_refused_says_why_and_the_connection_goes_on() {
    let world = World::embedded().await;
    let cases = [
        (
            "FLUSHALL a b",
            "ERR unknown command 'FLUSHALL', with args beginning with: 'a' 'b' ",
        ),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        (
            "GET notes:1 x",
            "ERR wrong number of arguments for 'get' command",
        ),
        (
            "GET 7",
            "ERR the key '7' names no cache; a key is written cache:key",
        ),
        (
            "GET note:7",
            "CACHE_UNKNOWN no cache `note` is configured; there are: brief, notes, users (did you \
             mean `notes`?)",
        ),
        ("GET notes:", "KEY_EMPTY the key has no bytes"),
        (
            "SET notes:1 x EX 0",
            "ERR invalid expire time in 'set' command",
        ),
        (
            "SET notes:1 x EX y",
            "ERR value is not an integer or out of range",
        ),
        ("SET notes:1 x EX 1 PX 1", "ERR syntax error"),
        ("SET notes:1 x SOON", "ERR syntax error"),
        ("SET notes:1 x XX", "ERR SET … XX is not supported"),
        (
            "SET users:1 x",
            "ERR the cache 'users' stores nothing without a lease: use CACHE.GETL and CACHE.FILL, \
             or DEL, or set `unleased_set = \"stores\"`",
        ),
        ("SELECT 1", "ERR DB index is out of range"),
        (
            "AUTH secret",
            "ERR AUTH called without any password configured; none is asked for",
        ),
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("CLIENT KILL", "ERR unknown subcommand 'KILL' of CLIENT"),
        ("CONFIG SET", "ERR unknown subcommand 'SET' of CONFIG"),
    ];
    for (command, error) in cases {
        let answer = raw(&world, format!("{command}\r\nPING\r\nQUIT\r\n").as_bytes()).await;
        assert_eq!(answer, format!("-{error}\r\n+PONG\r\n+OK\r\n"), "{command}");
    }
}

#[tokio::test]
async fn nonsense_ends_its_connection_and_no_other() {
    let world = World::embedded().await;
    let answer = raw(&world, b"*1\r\n$4\r\nPING\r\n*1\r\n+PING\r\n").await;
    let error = "-ERR Protocol error: expected a bulk string ('$')\r\n";
    assert_eq!(answer, format!("+PONG\r\n{error}"));
    assert_eq!(raw(&world, b"PING\r\nQUIT\r\n").await, "+PONG\r\n+OK\r\n");
}

#[tokio::test]
async fn a_pipeline_is_answered_in_its_order() {
    let world = World::embedded().await;
    let mut bytes = Vec::new();
    let mut expected = String::new();
    for number in 0..100 {
        bytes.extend(format!("SET notes:k {number}\r\nGET notes:k\r\nGET notes:k\r\n").bytes());
        let value = number.to_string();
        let read = format!("${}\r\n{value}\r\n", value.len());
        expected += &format!("+OK\r\n{read}{read}");
    }
    bytes.extend(b"QUIT\r\n");
    assert_eq!(raw(&world, &bytes).await, expected + "+OK\r\n");
}

#[tokio::test]
async fn the_command_line_of_redis_talks_to_it() {
    let world = World::embedded().await;
    let run = async |words: &[&str]| {
        let port = world.resp.port().to_string();
        let mut command = tokio::process::Command::new("redis-cli");
        command.args(["-3", "-p", &port]).args(words);
        let ran = command.output().await.expect("redis-cli is installed");
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    };
    assert_eq!(
        run(&["SET", "notes:cli", "a value", "EX", "60"]).await,
        "OK"
    );
    assert_eq!(run(&["GET", "notes:cli"]).await, "a value");
    assert_eq!(run(&["DEL", "notes:cli"]).await, "1");
    assert_eq!(run(&["GET", "notes:cli"]).await, "");
    assert!(run(&["KEYS", "*"]).await.starts_with("ERR unknown command"));
    assert!(run(&["INFO"]).await.contains("redis_mode:standalone"));
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let limits = Limits {
        resp_connections_max: 2,
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let mut first = connect(&world, "resp2").await;
    let mut second = connect(&world, "resp2").await;
    for client in [&mut first, &mut second] {
        assert_eq!(ask::<String>(client, "PING").await.unwrap(), "PONG");
    }
    let answer = raw(&world, b"").await;
    assert_eq!(answer, "-ERR max number of clients reached\r\n");
    drop(first);
    let again = async || raw(&world, b"QUIT\r\n").await == "+OK\r\n";
    until(Duration::from_secs(10), "its place is free", again)
        .await
        .expect("it is");
}
