//! The page's side of a seat stream, in Chromium: cut off and back, hidden and shown, and its parser against any cut.

use std::time::{Duration, Instant};

use nugul_api::booking::Hold;
use nugul_domain::PerformanceId;
use nugul_tests::{
    Buyer, World,
    browser::{Browser, Driver},
    people::{DEMO_BUYER, new_performance},
};
use serde_json::json;

/// How soon the map is right once the page can hear again.
const RIGHT_WITHIN: Duration = Duration::from_secs(2);
/// How often that is tried: a machine that is busy may be late once. One that waits for a pause to pass is late each time.
const TRIES: usize = 3;

/// Two windows on one performance, and somebody who takes seats there.
struct Windows {
    one: Browser,
    two: Browser,
    buyer: Buyer,
    performance: PerformanceId,
}

impl Windows {
    /// The network is cut and restored for one window while the other goes on; how long its map was wrong after that.
    async fn cut(&self) -> Duration {
        let first = self.hold(1).await;
        shows(&self.one, 1, "held").await;
        shows(&self.two, 1, "held").await;
        self.one.cut_off(true).await;
        self.one.find("#live[data-live=offline]").await;
        let said = self.one.find("#live").await.text().await;
        assert!(["연결 끊김", "Disconnected"].contains(&said.as_str()), "{said}");
        let second = self.instead_of(&first, 2).await;
        self.one.cut_off(false).await;
        self.right_after(&second, 1, 2).await
    }

    /// One window is hidden until its stream rests, and shown again; how long its map was wrong after that.
    async fn rest(&self) -> Duration {
        let first = self.hold(3).await;
        shows(&self.one, 3, "held").await;
        self.hide(true).await;
        self.one.find("#live[data-live=catching-up]").await;
        let second = self.instead_of(&first, 4).await;
        let seat = "document.querySelector('[data-seat=\"4\"]').dataset.state";
        assert_eq!(self.one.eval(seat).await, json!("available"), "a page that rests hears nothing");
        self.hide(false).await;
        self.right_after(&second, 3, 4).await
    }

    async fn hold(&self, seat: u32) -> Hold {
        self.buyer.hold(self.performance, &[seat]).await
    }

    /// Gives a hold back and holds this seat; the other window shows it.
    async fn instead_of(&self, first: &Hold, seat: u32) -> Hold {
        self.give_back(first).await;
        let second = self.hold(seat).await;
        shows(&self.two, seat, "held").await;
        second
    }

    async fn right_after(&self, second: &Hold, free: u32, held: u32) -> Duration {
        let begun = Instant::now();
        shows(&self.one, held, "held").await;
        shows(&self.one, free, "available").await;
        let took = begun.elapsed();
        self.one.find("#live[data-live=live]").await;
        self.give_back(second).await;
        shows(&self.one, held, "available").await;
        took
    }

    async fn give_back(&self, hold: &Hold) {
        self.buyer.api.delete(&format!("holds/{}", hold.id)).await.expect_status(204);
    }

    async fn hide(&self, hidden: bool) {
        let script = format!(
            "(Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}), \
             document.dispatchEvent(new Event('visibilitychange')))"
        );
        self.one.eval(&script).await;
    }
}

/// Waits until a seat is shown in a state.
async fn shows(browser: &Browser, seat: u32, state: &str) {
    browser.true_here(&format!("document.querySelector('[data-seat=\"{seat}\"]').dataset.state === '{state}'")).await;
}

/// The map is right every time, and soon.
async fn soon(what: &str, mut try_it: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < TRIES {
        took.push(try_it().await);
        if took.last() <= Some(&RIGHT_WITHIN) {
            return;
        }
    }
    panic!("the map is right only so long after {what}: {took:?}");
}

#[tokio::test]
async fn the_map_is_right_soon_after_a_cut_and_after_a_rest() {
    let world = World::shared();
    let api = world.api();
    let performance = new_performance(&api, 4, 6).await;
    let page = format!("{}/performances/{performance}", world.addresses.edge);
    let buyer = Buyer::log_in(&api, DEMO_BUYER).await;
    let driver = Driver::start(world.data_dir.join("stream-browsers"));
    let (one, two) = (driver.open("one").await, driver.open("two").await);
    for browser in [&one, &two] {
        browser.go(&page).await;
        browser.find("#live[data-live=live]").await;
    }
    let windows = Windows { one, two, buyer, performance };
    soon("a cut", async || windows.cut().await).await;
    soon("a rest", async || windows.rest().await).await;
}

#[tokio::test]
async fn the_pages_parser_reads_the_same_however_a_stream_is_cut() {
    const CHECK: &str = r#"
(async () => {
  const { parser, pause } = await import("/assets/live.js");
  const wrong = [];
  let seed = 20261125;
  const chance = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const parts = ["event: changes", "event:x", "data: {\"a\":1}", "data", "data:", "id: 7", "id: a\0b", ": alive", "retry: 1500",
    "retry: x", "너굴: 1", "", "", "", "data: 좌석", ":", "datas: 1"];
  for (let round = 0; round < 2000; round++) {
    let text = "";
    for (let n = chance(30); n > 0; n--) text += parts[chance(parts.length)] + ["\n", "\r\n", "\r"][chance(3)];
    text += "\n\n";
    const whole = JSON.stringify(parser()(text));
    const push = parser(), pieces = [];
    for (let at = 0; at < text.length;) { const to = at + 1 + chance(9); pieces.push(...push(text.slice(at, to))); at = to; }
    if (JSON.stringify(pieces) !== whole) wrong.push([text, whole, pieces]);
    // Anything at all is read without an error.
    let noise = "";
    for (let n = chance(60); n > 0; n--) noise += String.fromCharCode(chance(4) ? chance(128) : chance(65536));
    parser()(noise);
  }
  const expect = (got, wanted) => { if (JSON.stringify(got) !== JSON.stringify(wanted)) wrong.push([got, wanted]); };
  expect(parser()("\uFEFFevent: a\r\nid: 7\r\ndata: 1\r\ndata: 2\r\n\r\n"), [{ event: "a", id: "7", data: "1\n2" }]);
  expect(parser()("id: 8\n\ndata: x\n\n"), [{ event: "message", id: "8", data: "x" }]);
  let refused = false;
  try { const push = parser(); for (let n = 0; n < 64; n++) push("x".repeat(1 << 15)); } catch { refused = true; }
  expect(refused, true);
  expect([pause(0, 1000, 0), pause(0, 1000, 1), pause(1, 1000, 0), pause(99, 1000, 0)], [1000, 750, 2000, 30000]);
  return wrong.slice(0, 3);
})().then((wrong) => { document.title = `checked ${JSON.stringify(wrong)}`; }, (e) => { document.title = `checked ${e}`; })
"#;
    let world = World::shared();
    let driver = Driver::start(world.data_dir.join("parser-browser"));
    let browser = driver.open("parser").await;
    browser.go(&world.addresses.edge).await;
    browser.eval(&format!("({CHECK}) && true")).await;
    browser.true_here("document.title.startsWith('checked')").await;
    assert_eq!(browser.eval("document.title").await, json!("checked []"));
}
