//! Memoized functions: what is called, how often, and by which keys.

use cache_core::source::Cause;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::{Ask, Cache, Domain, KeyTemplate, Kind, Memoized, Role};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

async fn caches(count: usize) -> (Vec<Arc<Domain>>, Vec<Cache<String>>) {
    let fleet = Fleet::in_memory();
    let (mut domains, mut caches) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        until_trusted(&domain).await;
        let cache = Cache::builder("greetings").open(&domain);
        caches.push(cache.expect("a policy"));
        domains.push(domain);
    }
    (domains, caches)
}

fn template(text: &str) -> KeyTemplate {
    KeyTemplate::new(text).expect("a template")
}

type Greeting = Memoized<(u64, &'static str), String>;

/// A function that greets, and counts how often it is called; nobody is number 0.
fn greeting(cache: &Cache<String>, calls: &Arc<AtomicU64>) -> Greeting {
    let calls = calls.clone();
    let greet = move |(user, language): (u64, &'static str)| {
        let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            match (user, language) {
                (0, _) => Ok(None),
                (_, "") => Err(Cause::from("no language")),
                _ => Ok(Some(format!("{language} {user}, call {call}"))),
            }
        }
    };
    let key = template("greeting:{user}:{language|lower}");
    cache
        .memoize(key, greet)
        .expect("two fields, two arguments")
}

async fn text(greeting: &Greeting, user: u64, language: &'static str) -> Option<String> {
    let hit = greeting.call((user, language)).await;
    hit.expect("the function answers").map(|hit| (*hit).clone())
}

#[tokio::test]
async fn a_function_is_called_once_for_its_arguments_until_they_are_invalidated() {
    let (_domains, caches) = caches(2).await;
    let calls = Arc::new(AtomicU64::new(0));
    let all = [greeting(&caches[0], &calls), greeting(&caches[1], &calls)];
    let at_once = (0..20).map(|n| text(&all[n % 2], 7, "en"));
    for one in join_all(at_once).await {
        assert_eq!(one.as_deref(), Some("en 7, call 1"));
    }
    // The template folds its case.
    assert_eq!(
        text(&all[1], 7, "EN").await.as_deref(),
        Some("en 7, call 1")
    );
    assert_eq!(
        text(&all[0], 7, "de").await.as_deref(),
        Some("de 7, call 2")
    );
    assert_eq!(text(&all[0], 0, "en").await, None);
    assert_eq!(
        text(&all[0], 0, "en").await,
        None,
        "an absence is an answer"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 3);

    all[0].invalidate(&(7, "en")).await.expect("L2 is there");
    assert_eq!(
        text(&all[0], 7, "en").await.as_deref(),
        Some("en 7, call 4")
    );
    assert_eq!(
        text(&all[0], 7, "de").await.as_deref(),
        Some("de 7, call 2")
    );
    let strict = all[0].call_with((7, "de"), &Ask::strict()).await;
    let strict = strict.expect("the function answers").expect("a greeting");
    assert_eq!(*strict, "de 7, call 5");
}

#[tokio::test]
async fn an_error_of_the_function_is_the_callers_and_is_not_kept() {
    let (_domains, caches) = caches(1).await;
    let calls = Arc::new(AtomicU64::new(0));
    let greeting = greeting(&caches[0], &calls);
    for call in 1..3 {
        let error = greeting.call((7, "")).await.expect_err("it refuses");
        assert_eq!(error.kind(), Kind::LoadFailed);
        assert!(error.to_string().contains("no language"), "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), call);
    }
}

#[tokio::test]
async fn a_template_has_a_field_for_each_argument() {
    let (_domains, caches) = caches(1).await;
    let cache = &caches[0];
    let echo = |(one, _): (String, u8)| async move { Ok::<_, Cause>(Some(one)) };
    for bad in ["k", "k:{a}", "k:{a}:{b}:{c}"] {
        let error = cache.memoize(template(bad), echo).expect_err(bad);
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("for 2 arguments"), "{error}");
    }
    let echo = cache.memoize(template("k:{a}:{b}:{a}"), echo);
    let echo = echo.expect("a field may come twice");
    for one in ["x:y", "x"] {
        let hit = echo.call((one.to_owned(), 1)).await.expect("it answers");
        assert_eq!(hit.as_deref().map(String::as_str), Some(one));
    }
}

#[tokio::test]
async fn a_key_function_takes_any_arguments() {
    struct Page {
        number: u32,
    }
    let (_domains, caches) = caches(1).await;
    let show = |page: Page| async move { Ok::<_, Cause>(Some(page.number.to_string())) };
    let pages = caches[0].memoize_by(|page: &Page| format!("page:{}", page.number), show);
    for number in [1, 2, 1] {
        let hit = pages.call(Page { number }).await.expect("it answers");
        assert_eq!(hit.as_deref(), Some(&number.to_string()));
    }
    let long = caches[0].memoize_by(|_: &Page| vec![0; 600], show);
    let error = long.call(Page { number: 1 }).await.expect_err("too long");
    assert_eq!(error.kind(), Kind::Invalid);
}
