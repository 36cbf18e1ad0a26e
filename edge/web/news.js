// A page that waits for an outcome asks again, and is loaded anew only when there is one: a reader keeps their place until then.
const every = Number(document.querySelector("script[data-every-s]")?.dataset.everyS);
const state = (page) => page.querySelector("[data-state]")?.dataset.state;

const look = async () => {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected || (answer.ok && state(page) !== state(document))) {
      location.reload();
      return;
    }
  } catch {
    // Without a connection there is no news; the next look may have it.
  }
  setTimeout(look, every * 1000);
};

if (every > 0) setTimeout(look, every * 1000);
