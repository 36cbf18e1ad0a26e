// Follows a live stream: keeps the version, notices silence, resumes, polls where streams do not get through, rests in
// hidden tabs. It knows nothing of what is streamed; the page says what to do with it.
//
// follow({ url, snapshot, tickets, version, take, mode }) begins at once:
// - url: the event stream (text/event-stream). snapshot: the same state as JSON, for polling.
// - tickets: where a ticket is had for each connection, of a stream that is for members only.
// - version: what the page has, or null. take(event, data) applies what came and returns the version after it, or null
//   where it does not follow what the page has: then a snapshot is asked for. Events without an id return undefined.
// - mode("live" | "catching-up" | "offline" | "log-in") says how far the page can be trusted. After "log-in" it rests until
//   the tab is shown again.
// It returns { stop, now }: now() connects without waiting.

// Silence after which a stream is dead: two heartbeats of the server (5 s), and time for the second to come.
export const SILENCE_MS = 12_000;
// The first wait where the server says none, and the longest of all.
const RETRY_MS = 1_000, RETRY_MAX_MS = 30_000;
// Streams that failed in a row before the page polls between tries.
const POLL_AFTER = 2;
// How long a tab is hidden before its stream rests.
export const HIDDEN_MS = 3_000;
// An event longer than this is no event of ours.
const EVENT_CHARS_MAX = 1 << 20;

// Cuts text into events (HTML Standard, 9.2.6). push(text) returns those it completes: { event, id, data }, { retry }, or
// { alive: true } for a comment. Throws where an event is too long.
export function parser() {
  let rest = "", event = "", id, data = null, size = 0, started = false, cr = false;
  return function push(text) {
    if (!started && text) { started = true; if (text[0] === "\uFEFF") text = text.slice(1); }
    const out = [];
    rest += text;
    let at = 0;
    for (let i = 0; i < rest.length; i++) {
      const c = rest.charCodeAt(i);
      if (c !== 10 && c !== 13) { cr = false; continue; }
      // A line feed after a carriage return ends nothing, also where the two came apart.
      if (c === 10 && cr) { cr = false; at = i + 1; continue; }
      cr = c === 13;
      const line = rest.slice(at, i);
      at = i + 1;
      size += line.length;
      if (size > EVENT_CHARS_MAX) throw new Error("an event without an end");
      if (!line) {
        if (data !== null) out.push({ event: event || "message", id, data });
        event = ""; data = null; size = 0;
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) { size -= line.length; out.push({ alive: true }); continue; }
      const name = colon < 0 ? line : line.slice(0, colon);
      let value = colon < 0 ? "" : line.slice(colon + 1);
      if (value[0] === " ") value = value.slice(1);
      if (name === "event") event = value;
      else if (name === "data") data = data === null ? value : `${data}\n${value}`;
      else if (name === "id" && !value.includes("\0")) id = value;
      else if (name === "retry" && /^\d+$/.test(value)) out.push({ retry: Number(value) });
    }
    rest = rest.slice(at);
    if (rest.length + size > EVENT_CHARS_MAX) throw new Error("an event without an end");
    return out;
  };
}

// The wait before the next try, in milliseconds: it doubles with each failure, and chance spreads readers apart.
export function pause(failures, retry = RETRY_MS, chance = Math.random()) {
  const longest = Math.min(RETRY_MAX_MS, retry * 2 ** Math.min(failures, 10));
  return Math.round(longest * (1 - chance / 4));
}

// Nobody is logged in any more.
class LoggedOut extends Error {}

export function follow({ url, snapshot, tickets, version = null, take, mode }) {
  let failures = 0, retry, timer = 0, silence = 0, hiding = 0, abort = null, stopped = false, resting = false, reached = true;

  function say(to) { if (!stopped) mode(to); }

  // Applies one event; false where it does not follow what the page has.
  function apply(event, data) {
    const next = take(event, JSON.parse(data));
    if (next === null) return false;
    if (next !== undefined) version = next;
    return true;
  }

  // The address with a ticket, where one is needed: each is good for a moment.
  async function opened(address, signal) {
    if (!tickets) return address;
    const answer = await fetch(tickets, { method: "POST", headers: { "x-nugul-page": "1" }, signal, cache: "no-store" });
    if (answer.status === 401) throw new LoggedOut();
    if (!answer.ok) throw new Error(String(answer.status));
    return `${address}?ticket=${encodeURIComponent((await answer.json()).ticket)}`;
  }

  function loggedOut() {
    rest();
    say("log-in");
  }

  async function connect() {
    clearTimeout(timer);
    abort?.abort();
    if (stopped || resting) return;
    const mine = abort = new AbortController();
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(), SILENCE_MS);
    };
    let good = false, closed = false, out = false;
    try {
      heard();
      const headers = { accept: "text/event-stream" };
      if (version !== null) headers["last-event-id"] = String(version);
      const address = await opened(url, mine.signal);
      const answer = await fetch(address, { headers, signal: mine.signal, cache: "no-store" });
      if (!answer.ok || !answer.body) throw new Error(String(answer.status));
      const reader = answer.body.getReader(), decoder = new TextDecoder(), push = parser();
      reached = true;
      reading: for (;;) {
        const { value, done } = await reader.read();
        if (done || mine !== abort) break;
        heard();
        for (const e of push(decoder.decode(value, { stream: true }))) {
          if (e.retry !== undefined) { retry = e.retry; continue; }
          if (e.event === "close") { closed = true; break reading; }
          if (e.event === "link") { reached = JSON.parse(e.data).live; say(reached ? "live" : "offline"); continue; }
          if (e.data !== undefined && !apply(e.event, e.data)) { version = null; closed = true; break reading; }
          good = true;
          failures = 0;
          if (reached) say("live");
        }
      }
    } catch (e) {
      // Cut, refused or silent: tried again below, but for who has to log in first.
      out = e instanceof LoggedOut;
    }
    clearTimeout(silence);
    if (mine !== abort || stopped || resting) return;
    if (out) { loggedOut(); return; }
    mine.abort();
    abort = null;
    if (closed && good) say("catching-up");
    else { say("offline"); failures++; }
    if (failures > POLL_AFTER) await poll();
    if (abort || stopped || resting) return;
    timer = setTimeout(connect, closed && version === null ? 0 : pause(failures, retry));
  }

  // Where streams do not get through, answers may.
  async function poll() {
    try {
      const signal = AbortSignal.timeout(SILENCE_MS);
      const answer = await fetch(await opened(snapshot, signal), { headers: { accept: "application/json" }, cache: "no-store", signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (abort || stopped || resting) return;
      apply("snapshot", text);
      say("catching-up");
    } catch (e) {
      if (e instanceof LoggedOut) loggedOut();
      else say("offline");
    }
  }

  function now() {
    if (stopped) return;
    resting = false;
    failures = 0;
    say("catching-up");
    connect();
  }
  function rest() {
    resting = true;
    clearTimeout(timer);
    clearTimeout(silence);
    abort?.abort();
    abort = null;
    say("catching-up");
  }
  function offline() {
    rest();
    say("offline");
  }
  function shown() {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(rest, HIDDEN_MS);
    else if (resting) now();
  }
  function back(e) { if (e.persisted) now(); }

  const heard = [[document, "visibilitychange", shown], [window, "online", now], [window, "offline", offline],
    [window, "pagehide", rest], [window, "pageshow", back]];
  for (const [on, name, what] of heard) on.addEventListener(name, what);
  connect();
  return {
    now,
    stop() {
      rest();
      stopped = true;
      clearTimeout(hiding);
      for (const [on, name, what] of heard) on.removeEventListener(name, what);
    },
  };
}
