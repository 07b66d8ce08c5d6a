//! Query results: which queries share a key, and that a change of a table reaches the answers
//! of its queries alone.

use cache_core::model::template::KeyTemplate;
use cache_core::query::Query;
use cache_core::query::param::{Param, Shown};
use cache_core::query::spelling::Dialect;
use cache_core::source::{Cause, Loaded};
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Policy, Role, Tag};
use proptest::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Generic];

pub(crate) fn query(sql: &str) -> Query {
    Query::parse(sql, Dialect::Postgres).unwrap_or_else(|error| panic!("{error}"))
}

fn key(sql: &str, params: &[&dyn Param]) -> String {
    query(sql).key(params).to_string()
}

#[test]
fn spellings_of_one_query_share_a_key() {
    let one = "SELECT u.Name, count(*) FROM Users u WHERE id = $1 AND kind IN ('a', 'b') LIMIT 10";
    for other in [
        "select u.name, COUNT(*) from users U where ID=$1 and KIND in('a','b') limit 10",
        "select u.name, count(*)\n\tfrom users u -- the users\n where id = $1 /* by key */\n and \
         kind in ('a', 'b') limit 10;",
        "select u.name,count( * )from users u where id=$1 and kind in ( 'a','b' ) limit 10 ; ;",
    ] {
        assert_eq!(key(one, &[&7]), key(other, &[&7_u8]), "{other}");
        assert_eq!(query(one).shape(), query(other).shape());
    }
    assert_eq!(
        key("select 1 where a <> 2", &[]),
        key("SELECT 1 WHERE a != 2", &[])
    );
}

#[test]
fn queries_that_may_answer_otherwise_have_keys_of_their_own() {
    let keys = [
        key("select * from t where a = 5 and b = $1", &[&6]),
        key("select * from t where a = $1 and b = 5", &[&6]),
        key("select * from t where a = 6 and b = $1", &[&5]),
        key("select * from t where a = $1 and b = 6", &[&5]),
        key("select * from t where a = '5' and b = $1", &[&6]),
        key("select * from t where a = 5 and b = 6", &[]),
        key("select * from t where a in (1, 2) and b in (3)", &[]),
        key("select * from t where a in (1) and b in (2, 3)", &[]),
        key("select * from t where a in (1, 2, 3)", &[]),
        key("select * from t where a in ('1', '2', '3')", &[]),
        key("select * from t where a in ('1,2', '3')", &[]),
        key("select * from t where a in ('1', '2,3')", &[]),
        key("select * from t where a = 'It''s'", &[]),
        key("select * from t where a = 'it''s'", &[]),
        key("select a from t", &[]),
        key("select /*+ SET_VAR(time_zone='UTC') */ a from t", &[]),
        key("select \"A\" from t", &[]),
    ];
    let mut distinct = keys.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), keys.len());
    let labelled = |label: &str| {
        let query = Query::parse(&format!("select a as {label} from t"), Dialect::MySql);
        query.expect("a read").key(&[])
    };
    assert_ne!(
        labelled("Value"),
        labelled("value"),
        "MySQL answers with the label"
    );
}

#[test]
fn parameters_do_not_run_together() {
    let sql = "select * from t where a = $1 and b = $2";
    let none: Option<u8> = None;
    let params: [&[&dyn Param]; 15] = [
        &[&"a", &"bc"],
        &[&"ab", &"c"],
        &[&"abc", &""],
        &[&"abc"],
        &[&none, &1],
        &[&0, &1],
        &[&false, &1],
        &[&1, &none],
        &[&-1, &1],
        &[&1.0, &1],
        &["1"].map(|one: &'static str| -> &dyn Param { Box::leak(Box::new(one)) }),
        &[&vec!["a", "b"], &vec!["c"]],
        &[&vec!["a"], &vec!["b", "c"]],
        &[&bytes::Bytes::from_static(b"a"), &"bc"],
        &[&vec!["a", "b", "c"]],
    ];
    for (at, one) in params.iter().enumerate() {
        for other in &params[at + 1..] {
            assert_ne!(key(sql, one), key(sql, other));
        }
    }
    let owned = String::from("a");
    assert_eq!(key(sql, &[&"a", &Some(7_i64)]), key(sql, &[&owned, &7_u16]));
    assert_eq!(key(sql, &[&Shown(7)]), key(sql, &[&"7"]));
}

#[test]
fn a_shape_holds_no_values_and_one_list_of_any_length() {
    let shape = "select a from t where b = ? and c in (...) and d = $1";
    for sql in [
        "SELECT a FROM t WHERE b = 'secret' AND c IN (1, -2, 3) AND d = $1",
        "select a from t where b = 7 and c in ($2) and d = $1",
    ] {
        assert_eq!(query(sql).shape(), shape);
        assert!(!format!("{:?}", query(sql)).contains("secret"));
    }
    let begins = |sql| key(sql, &[])[..20].to_owned();
    assert_eq!(
        begins("select a from t where b in (1)"),
        begins("select a from t where b in (2, 3)")
    );
}

#[test]
fn a_rule_makes_the_same_tags_of_a_table() {
    let rendered = |template: &str| {
        let template = KeyTemplate::new(template).expect("a template");
        let about = |name: &str| match name {
            "schema" => "Public",
            _ => "odd:Users",
        };
        let text = template.render_with(|field| Some(Cow::Borrowed(about(&field.name))));
        Tag::new(text.expect("all is known")).expect("a tag")
    };
    let (table, both) = (
        "table:{@table|lower}",
        "table:{@schema|lower}.{@table|lower}",
    );
    assert_eq!(
        query("select * from \"odd:Users\"").tags(),
        [rendered(table)]
    );
    assert_eq!(
        query("select * from public.\"odd:Users\"").tags(),
        [rendered(both)]
    );
}

#[test]
fn a_query_may_read_more_than_its_text_shows() {
    let view = query("select * from active_users").also_reads("Public.Users");
    let tags = view.expect("a table").tags();
    assert_eq!(
        tags,
        ["table:active_users", "table:public.users"].map(|tag| Tag::new(tag).expect("a tag"))
    );
    assert!(query("select 1").also_reads(&"t".repeat(200)).is_err());
}

proptest! {
    #[test]
    fn two_texts_share_a_key_only_if_they_are_one(one in "\\PC{0,8}", other in "\\PC{0,8}") {
        let sql = "select * from t where a = $1";
        prop_assert_eq!(one == other, key(sql, &[&one]) == key(sql, &[&other]));
        let quoted = |text: &str| format!("select * from t where a = '{}'", text.replace('\'', "''"));
        prop_assert_eq!(one == other, key(&quoted(&one), &[]) == key(&quoted(&other), &[]));
    }
}

/// A cache of answers, and a database that counts how often it is asked.
struct World {
    cache: Cache<u64>,
    asked: Arc<AtomicU64>,
}

impl World {
    /// The answer of a query, which is how often the database was asked by then.
    async fn get(&self, query: &Query, id: u64) -> u64 {
        let (asked, tags) = (self.asked.clone(), query.tags());
        let load = async move |_| {
            let answer = asked.fetch_add(1, Ordering::SeqCst) + 1;
            Ok::<_, Cause>(Loaded::value(answer).tagged(tags))
        };
        let hit = self.cache.get_or_load(query.key(&[&id]), load).await;
        *hit.expect("the database answers").expect("there are rows")
    }
}

#[tokio::test]
async fn a_change_of_a_table_invalidates_the_answers_that_read_it_and_no_others() {
    let domain = Fleet::in_memory()
        .join(Role::Member)
        .await
        .expect("the bus is there");
    until_trusted(&domain).await;
    let policy = Policy::new("queries").expect("a name");
    let world = World {
        cache: Cache::open(&domain, policy, Bincode::default()).expect("a policy"),
        asked: Arc::default(),
    };
    let users = query("select * from users where id = $1");
    let both = query("select * from users u join orders o on o.user_id = u.id where u.id = $1");
    let orders = query("select * from orders where user_id = $1");
    for (at, one) in (1..).zip([&users, &both, &orders]) {
        assert_eq!(world.get(one, 7).await, at);
        assert_eq!(world.get(one, 7).await, at, "it is cached");
    }
    let changed = Tag::new("table:orders").expect("a tag");
    world
        .cache
        .invalidate_tag(changed)
        .await
        .expect("L2 is there");
    assert_eq!(world.get(&users, 7).await, 1, "it does not read orders");
    assert_eq!(world.get(&both, 7).await, 4);
    assert_eq!(world.get(&orders, 7).await, 5);
    let other = Tag::new("table:teams").expect("a tag");
    world
        .cache
        .invalidate_tag(other)
        .await
        .expect("L2 is there");
    assert_eq!(world.get(&both, 7).await, 4);
}
