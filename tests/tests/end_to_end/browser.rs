//! A purchase as a person makes it, in Chromium, while another person looks at the same seats.

use std::time::Duration;

use nugul_api::{Page, catalogue::EventSummary};
use nugul_platform::Service;
use nugul_tests::{
    Buyer, World,
    browser::{Browser, Driver},
    eventually,
    people::{DEMO_BUYER, PASSWORD, new_performance},
};
use serde_json::json;

/// How long the browser may take to keep or to forget something.
const PROMISE_LIMIT: Duration = Duration::from_secs(20);

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

/// Waits until what an expression promises is true.
async fn promised(browser: &Browser, expression: &str) {
    eventually(expression, PROMISE_LIMIT, async || (browser.eval(expression).await == json!(true)).then_some(())).await;
}

#[tokio::test]
async fn two_people_one_hall() {
    let world = World::shared();
    let api = world.api();
    let performance = new_performance(&api, 4, 6).await;
    let page = format!("{}/performances/{performance}", world.addresses.edge);
    let driver = Driver::start(world.data_dir.join("browsers"));
    let (one, two) = (driver.open("buyer").await, driver.open("watcher").await);

    // The first page answers a search.
    let events: Page<EventSummary> = api.get("search/events?limit=1").await.expect(200);
    let title = &events.items[0].title;
    one.go(&world.addresses.edge).await;
    one.fill("#q", title).await;
    one.eval("document.querySelector('#q').form.requestSubmit() || true").await;
    let found =
        format!("[...document.querySelectorAll('.cards strong')].some(t => t.textContent === {})", json!(title));
    one.true_here(&format!("location.pathname === '/search' && {found}")).await;

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
    one.press(".ticket:not(.unpaid) a").await;
    one.find("#qr").await;
    one.true_here("document.querySelector('#qr').complete && document.querySelector('#qr').naturalWidth > 0").await;
}

#[tokio::test]
async fn a_ticket_once_opened_is_there_without_a_network_until_its_holder_leaves() {
    let world = World::own("offline");
    let api = world.api();
    let performance = new_performance(&api, 1, 4).await;
    let buyer = Buyer::sign_up(&world, &api).await;
    let ticket = buyer.buy(&world, performance, &[0]).await.tickets[0];
    let page = format!("{}/tickets/{ticket}", world.addresses.edge);
    let driver = Driver::start(world.data_dir.join("browsers"));
    let browser = driver.open("holder").await;

    browser.go(&format!("{}/log-in", world.addresses.edge)).await;
    browser.fill("#email", &buyer.account.email).await;
    browser.fill("#password", PASSWORD).await;
    browser.press("#log-in").await;
    browser.true_here("!location.pathname.startsWith('/log-in')").await;
    browser.go(&page).await;
    browser.find("#qr").await;
    let kept = "caches.match(location.href, { ignoreVary: true }).then(page => !!page)";
    promised(&browser, kept).await;
    promised(&browser, "caches.match(document.querySelector('#qr').src, { ignoreVary: true }).then(qr => !!qr)").await;

    world.kill(Service::Edge);
    browser.go(&page).await;
    browser.find("#qr").await;
    browser.true_here("document.querySelector('#qr').complete && document.querySelector('#qr').naturalWidth > 0").await;

    world.restart(Service::Edge);
    browser.go(&page).await;
    browser.press("form[action='/log-out'] button").await;
    browser.true_here("location.pathname === '/'").await;
    let all =
        "caches.keys().then(names => Promise.all(names.map(name => caches.open(name).then(kept => kept.keys()))))";
    let is_ticket = "new URL(request.url).pathname.startsWith('/tickets')";
    promised(&browser, &format!("{all}.then(kept => !kept.flat().some(request => {is_ticket}))")).await;
}

#[tokio::test]
async fn a_phone_shows_each_page_without_scrolling_sideways() {
    let world = World::shared();
    let api = world.api();
    let performance = new_performance(&api, 6, 30).await;
    let events: Page<EventSummary> = api.get("search/events?limit=1").await.expect(200);
    let driver = Driver::start(world.data_dir.join("browsers"));
    let phone = driver.open("phone").await;
    phone.resize(360, 740).await;
    let event = format!("/events/{}", events.items[0].id);
    for page in ["/", "/search", &event, &format!("/performances/{performance}"), "/log-in", "/sign-up"] {
        phone.go(&format!("{}{page}", world.addresses.edge)).await;
        phone.find("main h1").await;
        let wide = phone.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        assert_eq!(wide, json!(0), "{page} is wider than a phone");
    }
}

#[tokio::test]
async fn suggestions_are_walked_by_keys_and_told_to_those_who_do_not_see_them() {
    let world = World::shared();
    let driver = Driver::start(world.data_dir.join("browsers-suggest"));
    let browser = driver.open("typist").await;
    browser.go(&world.addresses.edge).await;
    let is = async |what: &str| browser.true_here(what).await;
    // The keys of 레미 in the Latin layout.
    browser.fill("#q", "fpal").await;
    is("document.querySelector('#q[role=combobox]').getAttribute('aria-expanded') === 'true'").await;
    is("document.querySelector('#q-list[role=listbox] [role=option] mark').textContent === '레미'").await;
    is("document.querySelector('form.search [role=status]').textContent.match(/[1-9]/)").await;
    let chosen = "document.getElementById(document.querySelector('#q').getAttribute('aria-activedescendant'))";
    // Arrow down, Escape, and open again.
    browser.fill("#q", "\u{E015}").await;
    is(&format!("{chosen}.getAttribute('aria-selected') === 'true' && {chosen}.textContent.includes('레미제라블')"))
        .await;
    browser.fill("#q", "\u{E00C}").await;
    is("document.querySelector('#q').getAttribute('aria-expanded') === 'false' && document.querySelector('#q-list').hidden").await;
    browser.fill("#q", "w").await;
    is("document.querySelector('#q').getAttribute('aria-expanded') === 'true'").await;
    // Arrow down, Enter.
    browser.fill("#q", "\u{E015}").await;
    is(&format!("{chosen}.textContent.includes('레미제라블')")).await;
    browser.fill("#q", "\u{E007}").await;
    is("location.pathname.startsWith('/events/') && document.querySelector('h1').textContent.includes('레미제라블')")
        .await;
}
