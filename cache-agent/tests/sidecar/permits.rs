//! What is permitted beyond single calls: over exchanges, to clients of Redis, to operators,
//! and for how long.

use crate::callers::{OTHER, TOKEN, callers, file, forbidden, identity, invalid, saying, with};
use crate::world::{World, get, refusal};
use bytes::Bytes;
use cache_agent::callers::Callers;
use cache_agent::config::{Identity, Operation};
use cache_agent::proto::v1::admin_service_client::AdminServiceClient;
use cache_agent::proto::v1::{self, answer, call};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Who may read `users` and nothing else.
fn reader(token: &Path) -> Callers {
    callers(vec![Identity {
        caches: Some(["users".to_owned()].into()),
        may: vec![Operation::Read],
        ..identity("reader", Some(token))
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_an_exchange_is_for_those_who_may() {
    let own = file(TOKEN);
    let world = World::embedded_for(reader(own.path())).await;
    let others = v1::GetRequest {
        cache: "notes".to_owned(),
        ..get("k")
    };
    let delete = v1::DeleteRequest {
        cache: "users".to_owned(),
        key: Bytes::from_static(b"k"),
        session: None,
    };
    let calls = [
        call::Call::Get(get("k")),
        call::Call::Get(others),
        call::Call::Delete(delete),
    ];
    let calls = calls.into_iter().zip(0..).map(|(call, id)| v1::Call {
        id,
        timeout: None,
        call: Some(call),
    });
    let sent = v1::ExchangeRequest {
        calls: calls.collect(),
    };
    let mut stream = world.tcp.stream.clone();
    let asked = stream.exchange(saying("Basic eA==", tokio_stream::once(sent.clone())));
    assert_eq!(refusal(asked.await), invalid());
    let mut answers = stream
        .exchange(with(TOKEN, tokio_stream::once(sent)))
        .await
        .expect("it has a token")
        .into_inner();
    let mut came = BTreeMap::new();
    while let Some(message) = answers.message().await.expect("it goes on") {
        for answer in message.answers {
            let reason = match answer.answer {
                Some(answer::Answer::Failure(failure)) => failure.reason,
                _ => String::new(),
            };
            came.insert(answer.id, reason);
        }
    }
    let reasons: Vec<_> = came.values().map(String::as_str).collect();
    assert_eq!(reasons, ["", "CACHE_FORBIDDEN", "CACHE_FORBIDDEN"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_redis_has_a_token_too() {
    let own = file(TOKEN);
    let world = World::embedded_for(reader(own.path())).await;
    let asked = [
        ("GET users:k", "-NOAUTH Authentication required."),
        ("INFO", "-NOAUTH Authentication required."),
        ("HELLO 3", "-NOAUTH Authentication required."),
        ("PING", "+PONG"),
        (
            "AUTH wrong",
            "-WRONGPASS invalid username-password pair or user is disabled.",
        ),
        ("GET users:k", "-NOAUTH Authentication required."),
        (&format!("AUTH default {TOKEN}"), "+OK"),
        ("GET users:k", "$-1"),
        (
            "GET notes:k",
            "-CACHE_FORBIDDEN `reader` may not use the cache `notes`; see its [[identity]] in the \
             agent's file",
        ),
        (
            "MGET users:k notes:k",
            "-CACHE_FORBIDDEN `reader` may not use the cache `notes`; see its [[identity]] in the \
             agent's file",
        ),
        (
            "DEL users:k",
            "-CACHE_FORBIDDEN `reader` may not call Delete; see its [[identity]] in the agent's \
             file",
        ),
        ("RESET", "+RESET"),
        ("GET users:k", "-NOAUTH Authentication required."),
        (&format!("HELLO 2 AUTH default {TOKEN}"), "*14"),
    ];
    let sent: String = asked
        .iter()
        .map(|(sent, _)| format!("{sent}\r\n"))
        .collect();
    let answers = crate::resp::raw(&world, format!("{sent}QUIT\r\n").as_bytes()).await;
    let lines: Vec<_> = answers.lines().take(asked.len()).collect();
    let expected: Vec<_> = asked.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_taken_away_ends_what_lives_for_days() {
    let own = file(TOKEN);
    let all = reader(own.path());
    let world = World::embedded_for(all.clone()).await;
    let mut watched = world
        .tcp
        .invalidation
        .clone()
        .watch(with(TOKEN, v1::WatchRequest::default()))
        .await
        .expect("it may read")
        .into_inner();
    let first = watched.message().await.expect("it goes on");
    assert!(first.is_some(), "a sign of life");
    let mut stream = TcpStream::connect(world.resp).await.expect("it is open");
    let mut say = async |text: &str| {
        stream.write_all(text.as_bytes()).await.expect("it reads");
        let mut answer = [0; 256];
        let length = stream.read(&mut answer).await.expect("it answers");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    assert_eq!(say(&format!("AUTH {TOKEN}\r\n")).await, "+OK\r\n");
    assert_eq!(say("GET users:k\r\n").await, "$-1\r\n");

    // Beside another one it is good still.
    fs::write(own.path(), format!("{OTHER}\n{TOKEN}\n")).expect("it is writable");
    all.reread_now();
    assert_eq!(say("GET users:k\r\n").await, "$-1\r\n");
    fs::write(own.path(), OTHER).expect("it is writable");
    all.reread_now();
    let refused = say("GET users:k\r\n").await;
    assert!(refused.starts_with("-TOKEN_INVALID "), "{refused}");
    // An invalidation, so that the watch need not wait for its sign of life.
    let cache = world
        .app
        .agent
        .caches
        .find("users")
        .expect("it is configured");
    let cache = &cache.expect("it is open").cache;
    cache.invalidate("k").await.expect("L2 is there");
    let ended = async {
        loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                ended => break ended.map(drop),
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    assert_eq!(refusal(ended.expect("it ends")), invalid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_of_operators_is_for_those_who_may_do_everything() {
    let own = file(TOKEN);
    let asks = async |callers: Callers, header: &str| {
        let world = World::embedded_for(callers).await;
        let address = format!("http://{}", world.admin);
        let mut admin = AdminServiceClient::connect(address)
            .await
            .expect("it listens");
        let request = saying(header, v1::GetStatsRequest::default());
        admin.get_stats(request).await.map(drop)
    };
    let everything = || callers(vec![identity("ops", Some(own.path()))]);
    let token = format!("Bearer {TOKEN}");
    assert!(asks(everything(), &token).await.is_ok());
    assert_eq!(refusal(asks(everything(), "Basic eA==").await), invalid());
    assert_eq!(refusal(asks(reader(own.path()), &token).await), forbidden());
}
