//! A purchase as a person makes it, in Chromium, while another person looks at the same seats.

use nugul_api::{Page, catalogue::EventSummary};
use nugul_tests::{
    World,
    browser::{Browser, Driver},
    people::{DEMO_BUYER, PASSWORD, new_performance},
};
use serde_json::json;

async fn pick(browser: &Browser, seat: u32) {
    browser.find(&format!("[data-seat=\"{seat}\"][data-state=available]")).await;
    // A click as the page hears it, wherever the map is scrolled to.
    let script = format!(
        "document.querySelector('[data-seat=\"{seat}\"]').dispatchEvent(new MouseEvent('click', {{ bubbles: true }})) || true"
    );
    browser.eval(&script).await;
    browser
        .true_here(&format!("document.querySelector('[data-seat=\"{seat}\"]').getAttribute('aria-checked') === 'true'"))
        .await;
}

#[tokio::test]
async fn two_people_one_hall() {
    let world = World::shared();
    if !world.has_edge() {
        eprintln!("no edge, no pages");
        return;
    }
    let api = world.api();
    let performance = new_performance(&api, 4, 6).await;
    let page = format!("{}/performances/{performance}", world.addresses.edge);
    let driver = Driver::start(world.data_dir.join("browsers"));
    let (one, two) = (driver.open("buyer").await, driver.open("watcher").await);

    // The first page answers a search.
    let events: Page<EventSummary> = api.get("search/events?limit=1").await.expect(200);
    one.go(&world.addresses.edge).await;
    one.fill("#q", &events.items[0].title).await;
    one.true_here("document.querySelector('#q').form !== null").await;

    one.go(&format!("{}/log-in", world.addresses.edge)).await;
    one.fill("#email", DEMO_BUYER).await;
    one.fill("#password", PASSWORD).await;
    one.press("#log-in").await;
    one.true_here("!location.pathname.startsWith('/log-in')").await;
    let cookies = one.eval("document.cookie").await;
    assert!(!cookies.as_str().unwrap_or_default().contains("ey"), "scripts see no token: {cookies}");

    one.go(&page).await;
    two.go(&page).await;
    for browser in [&one, &two] {
        browser.find("#live[data-live=live]").await;
    }
    pick(&one, 7).await;
    pick(&one, 8).await;
    one.true_here("[7, 8].every(i => document.querySelector(`input[name=seat][value=\"${i}\"]`).checked)").await;
    two.eval("window.notReloaded = true").await;
    one.press("#hold").await;
    one.find("#countdown").await;
    for seat in [7, 8] {
        two.find(&format!("[data-seat=\"{seat}\"][data-state=held]")).await;
    }
    assert_eq!(two.eval("window.notReloaded").await, json!(true));

    one.press("#order").await;
    one.press("#pay").await;
    one.press("button[name=decision][value=pay]").await;
    one.find("[data-state=paid]").await;
    for seat in [7, 8] {
        two.find(&format!("[data-seat=\"{seat}\"][data-state=sold]")).await;
    }

    one.go(&format!("{}/tickets", world.addresses.edge)).await;
    one.press(".ticket a").await;
    one.find("#qr").await;
    one.true_here("document.querySelector('#qr').complete && document.querySelector('#qr').naturalWidth > 0").await;
}
