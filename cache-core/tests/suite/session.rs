//! What a client has seen and written binds its next reads, in whatever process.

use cache_core::bus::memory::MemoryBus;
use cache_core::event::Tier;
use cache_core::source::{Cause, Wanted};
use cache_core::testkit::fleet::{Fleet, keeps_in_l1, until_trusted};
use cache_core::testkit::until::until;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Invalidate, Known, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{
    Ask, Cache, Domain, Key, Kind, Lookup, Name, Policy, Position, Role, Session, WriteError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Two processes over one L2, each with a bus of its own: neither hears of the other's
/// changes, and both go on trusting their L1.
struct World {
    remote: Arc<MemoryRemote>,
    one: Arc<Domain>,
    two: Arc<Domain>,
}

impl World {
    async fn new() -> Self {
        let fleet = Fleet::in_memory();
        let remote = Arc::new(MemoryRemote::new(fleet.clock.clone()));
        let one = member(&remote, &fleet).await;
        let two = member(&remote, &fleet).await;
        Self { remote, one, two }
    }

    /// A change of a key at an offset is applied in L2, and told to nobody.
    async fn change(&self, cache: &Cache<u64>, key: &[u8], offset: u64) {
        let one = Invalidate {
            address: space(cache).address(Key::new(key).expect("a key")),
            position: Some(Position::new(0, offset, 0)),
            known: Known::NOTHING,
            keep: PATIENCE,
        };
        let answers = self.remote.apply(vec![one]).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

async fn member(remote: &Arc<MemoryRemote>, fleet: &Fleet) -> Arc<Domain> {
    let bus = Arc::new(MemoryBus::new());
    let fleet = Fleet::over(remote.clone(), bus, fleet.clock.clone());
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    domain
}

fn cache(domain: &Arc<Domain>, name: &str) -> Cache<u64> {
    let policy = Policy::new(name).expect("a name");
    Cache::open(domain, policy, Bincode::default()).expect("a policy")
}

fn space(cache: &Cache<u64>) -> cache_core::model::key::KeySpace {
    let domain = Name::new("main").expect("a name");
    cache_core::model::key::KeySpace::new(domain, cache.policy().name.clone())
}

async fn until_kept(cache: &Cache<u64>, key: &str, row: u64) {
    let kept = || async { keeps_in_l1(cache, key, row).await };
    let waited = until(PATIENCE, "L1 keeps the row", kept).await;
    waited.expect("nothing else happens");
}

fn row(lookup: Result<Lookup<u64>, cache_core::Error>) -> Option<(u64, Tier)> {
    match lookup.expect("a good key") {
        Lookup::Hit(hit) => Some((*hit, hit.tier())),
        Lookup::Absent | Lookup::Miss(_) => None,
    }
}

#[tokio::test]
async fn a_client_reads_its_own_write_in_another_process_by_a_text() {
    let world = World::new().await;
    let (writes, reads) = (cache(&world.one, "users"), cache(&world.two, "users"));
    until_kept(&reads, "k", 1).await;
    let through = writes.write_through(async |_, value: Option<u64>| Ok::<_, WriteError>(value));
    let receipt = through.put("k", 2).await.expect("it is written");
    let mut session = Session::default();
    let mut client = writes.in_session(&mut session);
    client.wrote("k", &receipt).expect("its own domain");
    let text = session.to_string();

    // The other process has not heard of it.
    assert_eq!(row(reads.get("k").await), Some((1, Tier::L1)));
    let mut session: Session = text.parse().expect("it was not changed");
    let mut client = reads.in_session(&mut session);
    assert_eq!(row(client.get("k").await), Some((2, Tier::L2)));
    assert_eq!(row(client.get("k").await), Some((2, Tier::L1)));
}

#[tokio::test]
async fn what_a_client_invalidated_is_not_read_by_it_in_another_process() {
    let world = World::new().await;
    let (writes, reads) = (cache(&world.one, "users"), cache(&world.two, "users"));
    until_kept(&reads, "k", 1).await;
    let mut session = Session::default();
    let done = writes.in_session(&mut session).invalidate("k").await;
    assert_eq!(done.ok(), Some(true));
    assert_eq!(row(reads.get("k").await), Some((1, Tier::L1)));
    let mut client = reads.in_session(&mut session);
    let load = async |wanted: Wanted<_>| {
        assert!(wanted.strict, "no replica is sure to have it");
        Ok::<_, Cause>(Some(2))
    };
    let hit = client.get_or_load("k", load).await.expect("it loads");
    assert_eq!(hit.as_deref(), Some(&2));
    let again = client.get("k").await;
    assert_eq!(row(again), Some((2, Tier::L1)), "and is kept for others");
}

#[tokio::test]
async fn a_client_never_goes_back_across_keys_and_caches_of_a_domain() {
    let world = World::new().await;
    let (users, teams) = (cache(&world.one, "users"), cache(&world.two, "teams"));
    until_kept(&teams, "t", 1).await;
    world.change(&users, b"k", 9).await;
    let mut session = Session::default();
    let mut client = users.in_session(&mut session);
    let load = async |_| Ok::<_, Cause>(Some(7));
    let seen = client.get_or_load("k", load).await.expect("it loads");
    assert_eq!(seen.map(|hit| hit.as_of()), Some(Position::new(0, 9, 0)));

    assert_eq!(row(teams.get("t").await), Some((1, Tier::L1)));
    let told = Arc::new(AtomicU64::new(0));
    let tells = told.clone();
    let load = move |wanted: Wanted<_>| {
        tells.store(wanted.at_least.offset, Ordering::SeqCst);
        async { Ok::<_, Cause>(Some(2)) }
    };
    let mut client = teams.in_session(&mut session);
    let hit = client.get_or_load("t", load).await.expect("it loads");
    assert_eq!(hit.as_deref(), Some(&2));
    assert_eq!(
        told.load(Ordering::SeqCst),
        9,
        "a replica must have come so far"
    );
    world.change(&teams, b"t", 12).await;
    let load = async |_| Ok::<_, Cause>(None::<u64>);
    let absent = client.get_or_load("t", load).await.expect("it loads");
    assert!(absent.is_none());
    let asked = client.ask("t").expect("its own domain");
    assert_eq!(asked.at_least.offset, 12, "an absence was seen as well");
}

#[tokio::test]
async fn a_value_that_is_not_proven_for_one_client_stays_for_the_others() {
    let world = World::new().await;
    let users = cache(&world.one, "users");
    until_kept(&users, "k", 1).await;
    let ask = Ask::at_least(Position::new(0, 9, 0));
    let miss = users.get_with("k", &ask).await.expect("a good key");
    let Lookup::Miss(ticket) = miss else {
        panic!("as of less than 9: {miss:?}")
    };
    assert!(ticket.has_lease());
    assert_eq!(ticket.at_least(), Position::new(0, 9, 0));
    let others = cache(&world.two, "users");
    assert_eq!(row(others.get("k").await), Some((1, Tier::L2)));
}

#[tokio::test]
async fn a_change_whose_place_nobody_knows_is_read_from_the_primary() {
    let world = World::new().await;
    let users = cache(&world.one, "users");
    world.remote.forget_all();
    let mut session = Session::default();
    let mut client = users.in_session(&mut session);
    let done = client.invalidate("k").await;
    assert_eq!(done.ok(), Some(false), "L2 has nothing to put it in");
    let ask = client.ask("k").expect("its own domain");
    assert!(ask.primary && ask.at_least.tick == u32::MAX, "{ask:?}");
}

#[tokio::test]
async fn a_session_of_another_domain_is_no_use_to_a_cache() {
    let world = World::new().await;
    let users = cache(&world.one, "users");
    let mut session = Session::default();
    let other = Name::new("other").expect("a name");
    let bucket = cache_core::model::key::Bucket(0);
    let noted = session.note(&other, bucket, Position::new(0, 9, 0));
    noted.expect("it was empty");
    let mut client = users.in_session(&mut session);
    let refused = client.get("k").await.expect_err("another order of changes");
    assert_eq!(refused.kind(), Kind::Invalid);
    let refused = client.ask("k").expect_err("another order of changes");
    assert!(refused.to_string().contains("another domain"), "{refused}");
}
