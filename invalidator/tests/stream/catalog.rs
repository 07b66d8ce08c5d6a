//! What a real database's catalog says of rules, before any event.

use crate::database::Database;
use cache_core::config::reader;
use invalidator::catalog::judge::judge;
use invalidator::catalog::read::tables;
use invalidator::catalog::report::{problems, report};
use invalidator::rules::Rules;
use std::process::Command;

const SCHEMA: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, email text, team_id bigint);
    CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
    ALTER TABLE orders REPLICA IDENTITY FULL;
    CREATE TABLE audit (id bigint);
    CREATE UNLOGGED TABLE visits (id bigint PRIMARY KEY);
    CREATE TABLE places (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE places_low PARTITION OF places FOR VALUES FROM (0) TO (100);
    CREATE TABLE aliases (id bigint PRIMARY KEY, name text NOT NULL, user_id bigint);
    CREATE UNIQUE INDEX aliases_by_name ON aliases (name);
    ALTER TABLE aliases REPLICA IDENTITY USING INDEX aliases_by_name;
    CREATE PUBLICATION cacheaside FOR TABLE users (id, email), orders, audit, places, aliases
        WITH (publish_via_partition_root = true)";

const RULES: &str = "\
[[rule]]
table = 'public.users'
cache = 'users'
keys = ['user:{id}', 'email:{email}']
tags = ['team:{team_id}']
[[rule]]
table = 'public.orders'
cache = 'orders'
keys = ['order:{id}']
tags = ['user:{user_id}']
[[rule]]
table = 'public.audit'
cache = 'audit'
keys = ['audit:{id}']
[[rule]]
table = 'public.vistis'
cache = 'visits'
keys = ['visit:{id}']
[[rule]]
table = 'public.places'
cache = 'places'
keys = ['place:{id}']
[[rule]]
table = 'public.aliases'
cache = 'aliases'
keys = ['alias:{name}', 'user:{new.user_id}']
identity = ['name', 'user_id']
[[rule]]
table = 'public.visits'
cache = 'visits'
keys = ['visit:{idd}']
on = ['insert']
";

const REPORT: &str = "\
ok      rules.toml:1 public.users.id: its old value is told when it changes, and when the row goes
PROBLEM rules.toml:1 public.users.email: its old value is not told: each such change clears the cache, as a dead letter
        ALTER TABLE \"public\".\"users\" REPLICA IDENTITY FULL;
PROBLEM rules.toml:1 public.users.team_id: the publication cacheaside leaves it out
        BEGIN; ALTER PUBLICATION \"cacheaside\" DROP TABLE \"public\".\"users\"; ALTER PUBLICATION \"cacheaside\" ADD TABLE \"public\".\"users\"; COMMIT;
ok      rules.toml:6 public.orders.id: its old value is always told
ok      rules.toml:6 public.orders.user_id: its old value is always told
PROBLEM rules.toml:11 public.audit: it has no replica identity: PostgreSQL refuses updates and deletes of it as soon as it is published
        ALTER TABLE \"public\".\"audit\" REPLICA IDENTITY FULL;
PROBLEM rules.toml:11 public.audit.id: its old value is not told: each such change clears the cache, as a dead letter
        ALTER TABLE \"public\".\"audit\" REPLICA IDENTITY FULL;
PROBLEM rules.toml:15 public.vistis: the database has no such table
        did you mean `public.visits`?
note    rules.toml:19 public.places: a TRUNCATE of one partition is not told; truncate the whole, or delete rows
ok      rules.toml:19 public.places.id: its old value is told when it changes, and when the row goes
ok      rules.toml:23 public.aliases.name: its old value is told when it changes, and when the row goes
ok      rules.toml:23 public.aliases.user_id: only its new value is needed
PROBLEM rules.toml:23 public.aliases.user_id: `identity` names it, but the replica identity does not have it: an update would be taken to have left it as it was
        ALTER TABLE \"public\".\"aliases\" REPLICA IDENTITY FULL;
PROBLEM rules.toml:28 public.visits: it is unlogged: its changes are in no log
        ALTER TABLE \"public\".\"visits\" SET LOGGED;
PROBLEM rules.toml:28 public.visits: no publication sends its changes
        ALTER PUBLICATION … ADD TABLE \"public\".\"visits\";
PROBLEM rules.toml:28 public.visits.idd: the table has no such column
        did you mean `id`?
9 problems with the database
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_tells_beforehand_which_old_values_no_event_will_have() {
    let database = Database::start().await;
    database.run(SCHEMA).await;
    let rules = reader::read("rules.toml", RULES, Rules::parse).expect("good rules");
    let found = judge(&rules, &tables(&database.client).await.expect("it answers"));
    assert_eq!(report("rules.toml", &found), REPORT);

    // What it says mends it: one statement after the other, as they stand there.
    let statement = |text: &&str| text.starts_with("ALTER TABLE") || text.starts_with("BEGIN");
    let mends = REPORT.lines().map(str::trim).filter(statement);
    for mend in mends {
        database.run(mend).await;
    }
    let found = judge(&rules, &tables(&database.client).await.expect("it answers"));
    let text = report("rules.toml", &found);
    assert_eq!(problems(&found), 3, "what only the rules can mend: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_the_database_and_says_what_it_found() {
    let database = Database::start().await;
    let port = database.postgres.port();
    database
        .run("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
        .await;
    database
        .run("CREATE PUBLICATION cacheaside FOR ALL TABLES")
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let rules = "[source]\nstream = 'CDC'\n[[rule]]\ntable = 'public.users'\ncache = 'users'\n\
        keys = ['user:{id}', 'email:{email}']\n";
    std::fs::write(folder.path().join("rules.toml"), rules).expect("the folder is there");
    let check = |port: u16| {
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let ran = Command::new(env!("CARGO_BIN_EXE_invalidator"))
            .args(["check", "rules.toml", "--db", &url])
            .current_dir(folder.path())
            .output()
            .expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("a text");
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let (code, out, _) = check(port);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.ends_with("1 problem with the database\n"), "{out}");
    database
        .run("ALTER TABLE users REPLICA IDENTITY FULL")
        .await;
    let (code, out, _) = check(port);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("0 problems with the database\n"), "{out}");
    // Port 1 is nobody's.
    let (code, _, err) = check(1);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("connecting to the database"), "{err}");
}
