// Tickets that were opened are there without a network: kept when they pass by, forgotten when their holder leaves.
const KEPT = "nugul-tickets";
// Each entry is a page, its code, or a file they link to.
const KEPT_MAX = 80;
const isTicket = (path) => path === "/tickets" || path.startsWith("/tickets/");

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

// The network's answer counts; what was kept stands in where there is none.
const answer = async (request) => {
  const kept = await caches.open(KEPT);
  try {
    const fresh = await fetch(request);
    if (fresh.ok && !fresh.redirected) {
      await kept.put(request, fresh.clone());
      const all = await kept.keys();
      await Promise.all(all.slice(0, Math.max(0, all.length - KEPT_MAX)).map((old) => kept.delete(old)));
    } else if (fresh.type === "opaqueredirect" || fresh.redirected || fresh.status === 404) {
      // Given back, or of someone who is not logged in any more.
      await kept.delete(request);
    }
    return fresh;
  } catch (error) {
    const old = await kept.match(request, { ignoreVary: true });
    if (old) return old;
    throw error;
  }
};

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method === "POST" && (url.pathname === "/log-out" || url.pathname === "/log-in")) {
    event.respondWith(caches.delete(KEPT).then(() => fetch(request)));
  } else if (request.method === "GET" && (isTicket(url.pathname) || url.pathname.startsWith("/assets/"))) {
    event.respondWith(answer(request));
  }
});
