//! The listeners of one performance, told together.
//!
//! They stand in groups. A round of telling is a task for each group, so that the processors share the work and other
//! requests come in between; each reader gets what it has not got yet, so rounds may overlap.

use std::sync::{
    Arc, Mutex, RwLock, RwLockReadGuard,
    atomic::{AtomicUsize, Ordering},
};

use nugul_api::seats::CloseReason;
use nugul_domain::{PerformanceId, seat_book::Snapshot};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

use super::{
    Lifetimes,
    counters::Counters,
    log::Log,
    reader::{Pumped, Reader, Round, lock},
};

/// Readers of a group: about a millisecond of writing.
const GROUP: usize = 256;

/// The listeners of one performance.
pub(super) struct Hub {
    id: PerformanceId,
    log: Mutex<Log>,
    version: watch::Sender<i64>,
    groups: RwLock<Vec<Arc<Group>>>,
    listening: AtomicUsize,
    lifetimes: Lifetimes,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("id", &self.id).field("listening", &self.listening).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Group {
    readers: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    places: Vec<Option<Arc<Reader>>>,
    free: Vec<usize>,
}

/// Where a reader stands. It is taken out when this is dropped.
pub(super) struct Place {
    group: Arc<Group>,
    at: usize,
    counters: Arc<Counters>,
}

/// Somebody listens to a hub, or is about to.
#[derive(Debug)]
pub(super) struct Listening(Arc<Hub>);

impl Listening {
    /// One more.
    pub(super) fn to(hub: &Arc<Hub>) -> Self {
        hub.listening.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(hub))
    }

    /// The hub.
    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    /// Nobody listens yet.
    pub(super) fn new(id: PerformanceId, now: Snapshot, lifetimes: Lifetimes, counters: Arc<Counters>) -> Self {
        Self {
            id,
            version: watch::Sender::new(now.version),
            log: Mutex::new(Log::new(now)),
            groups: RwLock::default(),
            listening: AtomicUsize::new(0),
            lifetimes,
            counters,
        }
    }

    /// The performance.
    pub(super) const fn id(&self) -> PerformanceId {
        self.id
    }

    /// The frames. What is added to them is told by [`Hub::tell`].
    pub(super) const fn log(&self) -> &Mutex<Log> {
        &self.log
    }

    /// Whether somebody listens, or is about to.
    pub(super) fn is_listened_to(&self) -> bool {
        self.listeners() > 0
    }

    /// How many listen, or are about to.
    pub(super) fn listeners(&self) -> usize {
        self.listening.load(Ordering::Relaxed)
    }

    /// Waits until all frames up to `version` are in the log; `false` where they do not come in time.
    pub(super) async fn reaches(&self, version: i64, within: Duration) -> bool {
        let mut known = self.version.subscribe();
        // The hub has the sender, so the one other end is the time-out.
        timeout(within, known.wait_for(|now| *now >= version)).await.is_ok()
    }

    /// How long streams last here.
    pub(super) const fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// Where what happens here is counted.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes a reader in and writes what there is for it.
    pub(super) fn join(self: &Arc<Self>, reader: Reader) -> Place {
        let reader = Arc::new(reader);
        Counters::add(&self.counters.begun, 1);
        Counters::add(&self.counters.open, 1);
        let free = self.groups().iter().find_map(|group| {
            let mut places = lock(&group.readers);
            let at = places.free.pop().or_else(|| (places.places.len() < GROUP).then_some(places.places.len()))?;
            Some(places.stand(at, &reader, group, &self.counters))
        });
        let place = free.unwrap_or_else(|| {
            let group = Arc::<Group>::default();
            let place = lock(&group.readers).stand(0, &reader, &group, &self.counters);
            self.groups.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(group);
            place
        });
        if reader.pump(&self.log, &mut Round::default(), &self.counters) == Pumped::Stalled {
            self.wait_for(reader);
        }
        place
    }

    /// Tells everyone what they have not got yet; returns when each socket was offered it.
    pub(super) async fn tell(self: &Arc<Self>) {
        let version = lock(&self.log).version();
        self.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        let groups = self.groups().clone();
        if let [only] = groups.as_slice() {
            self.tell_group(only);
            return;
        }
        let mut telling = JoinSet::new();
        for group in groups {
            let hub = Arc::clone(self);
            telling.spawn(async move { hub.tell_group(&group) });
        }
        while telling.join_next().await.is_some() {}
    }

    fn tell_group(self: &Arc<Self>, group: &Group) {
        let mut round = Round::default();
        self.each(group, |reader| reader.pump(&self.log, &mut round, &self.counters));
        Counters::add(&self.counters.delivered, round.delivered);
    }

    /// Ends streams whose time is over and readers that take nothing. Called every second.
    pub(super) fn tend(self: &Arc<Self>, now: Instant) {
        for group in self.groups().clone() {
            self.each(&group, |reader| reader.tend(now, self.lifetimes, &self.log, &self.counters));
        }
    }

    /// Closes every stream.
    pub(super) fn close_all(self: &Arc<Self>, reason: CloseReason) {
        for group in self.groups().clone() {
            self.each(&group, |reader| reader.close(reason, &self.log, &self.counters));
        }
    }

    fn each(self: &Arc<Self>, group: &Group, mut work: impl FnMut(&Reader) -> Pumped) {
        for reader in lock(&group.readers).places.iter().flatten() {
            if work(reader) == Pumped::Stalled {
                self.wait_for(Arc::clone(reader));
            }
        }
    }

    fn wait_for(self: &Arc<Self>, reader: Arc<Reader>) {
        let hub = Arc::clone(self);
        tokio::spawn(async move { reader.drain(&hub.log, &hub.counters).await });
    }

    fn groups(&self) -> RwLockReadGuard<'_, Vec<Arc<Group>>> {
        self.groups.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Places {
    fn stand(&mut self, at: usize, reader: &Arc<Reader>, group: &Arc<Group>, counters: &Arc<Counters>) -> Place {
        match self.places.get_mut(at) {
            Some(place) => *place = Some(Arc::clone(reader)),
            None => self.places.push(Some(Arc::clone(reader))),
        }
        Place { group: Arc::clone(group), at, counters: Arc::clone(counters) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.group.readers);
        if places.places.get_mut(self.at).and_then(Option::take).is_some() {
            places.free.push(self.at);
        }
        drop(places);
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        io,
        pin::Pin,
        sync::atomic::{AtomicBool, Ordering},
    };

    use nugul_api::seats::HEARTBEAT;
    use nugul_domain::{Region, SeatState, Timestamp};

    use super::{
        super::{
            log::{BEHIND_MAX, tests::change},
            piece::Framing,
            reader::{Line, Start},
        },
        *,
    };

    /// A socket that takes so many bytes until it is read.
    #[derive(Default)]
    struct Pipe {
        got: Mutex<String>,
        room: AtomicUsize,
        more: tokio::sync::Notify,
        finished: AtomicBool,
        hung_up: AtomicBool,
    }

    impl Pipe {
        fn wide() -> Arc<Self> {
            Arc::new(Self { room: AtomicUsize::new(usize::MAX), ..Self::default() })
        }

        fn got(&self) -> String {
            std::mem::take(&mut lock(&self.got))
        }

        fn widen(&self) {
            self.room.store(usize::MAX, Ordering::Relaxed);
            self.more.notify_waiters();
        }
    }

    impl Line for Pipe {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            if self.hung_up.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let room = self.room.load(Ordering::Relaxed).min(bytes.len());
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.fetch_sub(room, Ordering::Relaxed);
            lock(&self.got).push_str(std::str::from_utf8(&bytes[..room]).unwrap());
            Ok(room)
        }

        fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
            Box::pin(async {
                self.more.notified().await;
                Ok(())
            })
        }

        fn finish(&self) {
            self.finished.store(true, Ordering::Relaxed);
        }

        fn hang_up(&self) {
            self.hung_up.store(true, Ordering::Relaxed);
            self.more.notify_waiters();
        }
    }

    const LIFETIMES: Lifetimes = Lifetimes { open_max: Duration::from_hours(1), stalled_max: Duration::from_secs(30) };

    fn hub() -> Arc<Hub> {
        let id = PerformanceId::new(Region(0), Timestamp::from_millis(0), [1; 9]);
        let now = Snapshot { version: 100, seats: vec![SeatState::Available; 8] };
        Arc::new(Hub::new(id, now, LIFETIMES, Arc::default()))
    }

    fn join(hub: &Arc<Hub>, pipe: &Arc<Pipe>, until: Instant) -> Place {
        let start = {
            let mut log = lock(hub.log());
            Start { pieces: vec![log.snapshot(false)], next: log.end() }
        };
        hub.join(Reader::new(pipe.clone(), Framing::Bare, &start, until))
    }

    fn held(hub: &Arc<Hub>) {
        let mut log = lock(hub.log());
        let version = log.version() + 1;
        assert!(log.push(&[change(version, 3, SeatState::from_bits((version % 3).try_into().unwrap()))]));
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(1_000_000)
    }

    fn ids(text: &str) -> Vec<i64> {
        text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_gets_every_frame_once_whenever_they_join() {
        let hub = hub();
        let pipes: Vec<_> = (0..3 * GROUP).map(|_| Pipe::wide()).collect();
        let mut places = Vec::new();
        for (n, pipe) in pipes.iter().enumerate() {
            places.push(join(&hub, pipe, far()));
            if n % 100 == 0 {
                held(&hub);
                hub.tell().await;
            }
        }
        for _ in 0..5 {
            held(&hub);
            hub.tell().await;
        }
        let last = lock(hub.log()).version();
        for pipe in &pipes {
            let ids = ids(&pipe.got());
            assert_eq!(ids.last(), Some(&last));
            assert!(ids.windows(2).all(|two| two[1] == two[0] + 1), "{ids:?}");
        }
        assert_eq!(hub.counters.open.load(Ordering::Relaxed), 3 * GROUP as u64);
        drop(places);
        assert_eq!(hub.counters.open.load(Ordering::Relaxed), 0);
        // Places are used again.
        let _again = join(&hub, &pipes[0], far());
        assert_eq!(hub.groups().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_delays_nobody_and_gets_a_snapshot_in_the_end() {
        let hub = hub();
        let (slow, quick) = (Pipe::wide(), Pipe::wide());
        let _places = (join(&hub, &slow, far()), join(&hub, &quick, far()));
        slow.got();
        // It takes the half of a frame.
        slow.room.store(20, Ordering::Relaxed);
        for _ in 0..=BEHIND_MAX + 1 {
            held(&hub);
            hub.tell().await;
        }
        let last = lock(hub.log()).version();
        assert_eq!(ids(&quick.got()).last(), Some(&last));
        tokio::task::yield_now().await;
        slow.widen();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let got = slow.got();
        // The frame that was begun, whole, and then a snapshot that says what it replaces.
        assert_eq!(ids(&got), [101, last], "{got}");
        assert!(got.contains("\"reset\":true"), "{got}");
        held(&hub);
        hub.tell().await;
        assert_eq!(ids(&slow.got()), [last + 1]);
        assert_eq!(hub.counters.collapsed.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_keeps_up_is_told_so_and_let_go() {
        let hub = hub();
        let slow = Pipe::wide();
        let _place = join(&hub, &slow, far());
        for _ in 0..3 {
            slow.room.store(0, Ordering::Relaxed);
            for _ in 0..BEHIND_MAX + 2 {
                held(&hub);
                hub.tell().await;
            }
            tokio::task::yield_now().await;
            slow.widen();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let got = slow.got();
        assert!(got.ends_with("event: close\ndata: {\"reason\":\"slow\"}\n\n"), "{got}");
        assert!(slow.finished.load(Ordering::Relaxed));
        assert_eq!(hub.counters.closed(CloseReason::Slow).load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let hub = hub();
        let (stuck, fine) = (Pipe::wide(), Pipe::wide());
        let _places = (join(&hub, &stuck, far()), join(&hub, &fine, far()));
        stuck.room.store(0, Ordering::Relaxed);
        held(&hub);
        hub.tell().await;
        tokio::time::sleep(Duration::from_secs(29)).await;
        hub.tend(Instant::now());
        assert!(!stuck.hung_up.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(2)).await;
        hub.tend(Instant::now());
        assert!(stuck.hung_up.load(Ordering::Relaxed) && !fine.hung_up.load(Ordering::Relaxed));
    }

    /// A day of a quiet performance: heartbeats every ten seconds, streams of an hour, everyone back each time.
    #[tokio::test(start_paused = true)]
    async fn a_day_of_heartbeats_and_lifetimes() {
        let hub = hub();
        let begun = Instant::now();
        let (mut pipe, mut streams, mut beats) = (Pipe::wide(), 1, 0);
        let mut place = join(&hub, &pipe, begun + LIFETIMES.open_max);
        pipe.got();
        while begun.elapsed() < Duration::from_hours(24) {
            tokio::time::sleep(Duration::from_secs(10)).await;
            lock(hub.log()).heartbeat();
            hub.tell().await;
            hub.tend(Instant::now());
            let got = pipe.got();
            beats += got.matches(HEARTBEAT).count();
            if pipe.finished.load(Ordering::Relaxed) {
                assert!(got.ends_with("event: close\ndata: {\"reason\":\"lifetime\"}\n\n"), "{got}");
                pipe = Pipe::wide();
                place = join(&hub, &pipe, Instant::now() + LIFETIMES.open_max);
                pipe.got();
                streams += 1;
            }
        }
        drop(place);
        assert_eq!((streams, beats), (25, 24 * 360));
        assert_eq!(hub.counters.closed(CloseReason::Lifetime).load(Ordering::Relaxed), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_process_ends_everyone_is_told() {
        let hub = hub();
        let pipe = Pipe::wide();
        let place = join(&hub, &pipe, far());
        hub.close_all(CloseReason::Shutdown);
        assert!(pipe.got().ends_with("event: close\ndata: {\"reason\":\"shutdown\"}\n\n"));
        assert!(pipe.finished.load(Ordering::Relaxed) && !pipe.hung_up.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(6)).await;
        hub.tend(Instant::now());
        assert!(pipe.hung_up.load(Ordering::Relaxed), "one that does not hang up is hung up on");
        drop(place);
    }
}
