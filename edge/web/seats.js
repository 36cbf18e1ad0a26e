import { follow } from "./live.js";

// The seat map: mirrors the checkboxes of the list, follows the performance's stream, and says what changed.
const form = document.getElementById("seats");
const STATES = ["available", "held", "sold", "blocked"];

if (form) start();

function start() {
  const $ = (id) => document.getElementById(id);
  const map = $("map"), box = $("map-box"), ticks = $("ticks"), live = $("live"), said = $("said");
  const names = $("chosen-names"), sum = $("chosen-sum"), hold = $("hold");
  const d = form.dataset;
  const max = Number(d.max), english = document.documentElement.lang === "en";
  const rects = new Map(), boxes = new Map(), rows = [];
  let states = decode(d.states, Number(d.count));
  let version = Number(d.version), sending = false, active = null, about = null;

  const money = (n) => english ? `₩${n.toLocaleString("en")}` : `${n.toLocaleString("en")}원`;
  const wordsOf = (state) => d[STATES[state]];

  for (const el of form.querySelectorAll("input[name=seat]")) boxes.set(Number(el.value), el);
  for (const g of map.querySelectorAll("g[data-row]")) {
    const row = [...g.querySelectorAll("[data-seat]")];
    rows.push(row);
    row.forEach((r, k) => {
      const i = Number(r.dataset.seat);
      const name = english ? `${g.dataset.row}, seat ${k + 1}` : `${g.dataset.row} ${k + 1}번`;
      rects.set(i, { el: r, i, at: [rows.length - 1, k], name, price: Number(g.dataset.price) });
      r.setAttribute("role", "checkbox");
      r.setAttribute("tabindex", "-1");
      paint(i);
    });
  }

  // One seat as it now is, on the map and in the list.
  function paint(i) {
    const seat = rects.get(i), check = boxes.get(i);
    const state = states[i] ?? 3, free = state === 0;
    if (check) { if (!free) check.checked = false; check.disabled = !free; }
    if (!seat) return;
    seat.el.dataset.state = STATES[state];
    seat.el.setAttribute("aria-checked", String(!!check?.checked));
    seat.el.setAttribute("aria-disabled", String(!free));
    seat.el.setAttribute("aria-label", `${seat.name} ${money(seat.price)}${free ? "" : `, ${wordsOf(state)}`}`);
  }

  const chosen = () => [...boxes.values()].filter((c) => c.checked).map((c) => {
    const i = Number(c.value), seat = rects.get(i);
    return { i, name: seat?.name ?? c.dataset.name, price: seat?.price ?? Number(c.dataset.price), el: seat?.el };
  });

  // The sum, the names, the ticks; a new choice is a new write, so it gets a new key.
  function tell(changed) {
    const list = chosen();
    names.textContent = list.length ? list.map((s) => s.name).join(" · ") : d.none;
    sum.textContent = list.length ? money(list.reduce((n, s) => n + s.price, 0)) : "";
    hold.disabled = !list.length;
    ticks.replaceChildren(...list.filter((s) => s.el).map((s) => {
      const p = document.createElementNS(map.namespaceURI, "path");
      p.setAttribute("class", "tick");
      p.setAttribute("d", "m5 10.5 3.5 3.5 7-7.5");
      p.setAttribute("transform", `${s.el.parentNode.getAttribute("transform")} translate(${s.el.getAttribute("x") ?? 0} 0)`);
      return p;
    }));
    const tail = list.map((s) => `&seat=${s.i}`).join("");
    for (const a of document.querySelectorAll(".blocks a")) a.href = a.getAttribute("href").split("&")[0] + tail;
    if (changed) newKey(form);
  }

  function newKey(of) {
    const key = of.querySelector("input[name=key]");
    // randomUUID needs a secure page; elsewhere the server's key stays.
    if (key && crypto.randomUUID) key.value = crypto.randomUUID();
  }

  function toggle(i) {
    const check = boxes.get(i);
    if (!check || check.disabled) { said.textContent = rects.has(i) ? `${rects.get(i).name}: ${wordsOf(states[i] ?? 3)}` : ""; return; }
    if (!check.checked && chosen().length >= max) { said.textContent = d.limit; return; }
    check.checked = !check.checked;
    said.textContent = "";
    paint(i);
    tell(true);
  }

  // --- pointer, keys, list
  map.addEventListener("click", (e) => {
    const r = e.target.closest?.("[data-seat]");
    if (r) { point(Number(r.dataset.seat), false); toggle(Number(r.dataset.seat)); }
  });
  function point(i, focus) {
    const seat = rects.get(i);
    if (!seat) return;
    active?.setAttribute("tabindex", "-1");
    active = seat.el;
    active.setAttribute("tabindex", "0");
    if (focus) { active.focus({ preventScroll: true }); active.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  }
  map.addEventListener("keydown", (e) => {
    const r = e.target.closest?.("[data-seat]");
    if (!r) return;
    const i = Number(r.dataset.seat), [row, k] = rects.get(i).at;
    const near = (to) => {
      const next = rows[row + to];
      // The same place across, though rows differ in length.
      return next?.[Math.min(next.length - 1, Math.max(0, Math.round(k + (next.length - rows[row].length) / 2)))];
    };
    const to = { ArrowLeft: () => rows[row][k - 1], ArrowRight: () => rows[row][k + 1], ArrowUp: () => near(-1), ArrowDown: () => near(1),
      Home: () => rows[row][0], End: () => rows[row].at(-1) }[e.key];
    if (to) { const next = to(); if (next) point(Number(next.dataset.seat), true); }
    else if (e.key === "Enter" || e.key === " ") toggle(i);
    else return;
    e.preventDefault();
  });
  form.addEventListener("change", (e) => {
    if (e.target.name !== "seat") return;
    if (e.target.checked && chosen().length > max) { e.target.checked = false; said.textContent = d.limit; return; }
    said.textContent = "";
    paint(Number(e.target.value));
    tell(true);
  });
  // The seats offered instead of taken ones, chosen in place; elsewhere than in this block the link leads there.
  $("instead")?.addEventListener("click", (e) => {
    const wanted = new URL(e.currentTarget.href).searchParams.getAll("seat").map(Number);
    if (!wanted.every((i) => rects.has(i) && !boxes.get(i).disabled)) return;
    e.preventDefault();
    for (const c of boxes.values()) c.checked = wanted.includes(Number(c.value));
    for (const i of rects.keys()) paint(i);
    said.textContent = "";
    tell(true);
    point(wanted[0], true);
    rects.get(wanted[0]).el.scrollIntoView({ block: "center", inline: "center" });
  });
  const best = document.querySelector("form.best");
  best?.addEventListener("change", () => newKey(best));
  for (const f of [form, best]) f?.addEventListener("submit", () => { sending = true; });

  // --- grades
  const grades = [...document.querySelectorAll(".grades button")];
  for (const b of grades) b.addEventListener("click", () => {
    const on = b.getAttribute("aria-pressed") !== "true";
    for (const o of grades) o.setAttribute("aria-pressed", String(on && o === b));
    if (on) { map.dataset.only = b.dataset.grade; map.querySelector(`g[data-grade="${b.dataset.grade}"]`)?.scrollIntoView({ block: "nearest" }); }
    else delete map.dataset.only;
  });
  function countGrades() {
    for (const b of grades) {
      let free = 0;
      for (let i = Number(b.dataset.from); i < Number(b.dataset.to); i++) if (states[i] === 0) free++;
      const at = b.querySelector("[data-free]");
      if (at) at.textContent = free.toLocaleString("en");
    }
  }

  // --- zoom: the picture is as wide as its attribute says; the box scrolls
  const [, , fullWidth, fullHeight] = map.getAttribute("viewBox").split(" ").map(Number);
  const fit = () => Math.min(1, (box.clientWidth - 4) / fullWidth);
  let zoom = 1;
  function setZoom(to) {
    const [cx, cy] = [(box.scrollLeft + box.clientWidth / 2) / zoom, (box.scrollTop + box.clientHeight / 2) / zoom];
    zoom = Math.min(2, Math.max(fit(), to));
    map.setAttribute("width", fullWidth * zoom);
    map.setAttribute("height", fullHeight * zoom);
    box.scrollLeft = cx * zoom - box.clientWidth / 2;
    box.scrollTop = cy * zoom - box.clientHeight / 2;
  }
  for (const b of document.querySelectorAll("[data-zoom]")) b.addEventListener("click", () =>
    setZoom({ in: zoom * 1.4, out: zoom / 1.4, fit: fit() }[b.dataset.zoom]));
  // Two fingers, or the wheel with Ctrl: the rest of the page keeps its size.
  let pinch = null;
  const apart = (e) => Math.hypot(e.touches[0].clientX - e.touches[1].clientX, e.touches[0].clientY - e.touches[1].clientY);
  box.addEventListener("touchstart", (e) => { pinch = e.touches.length === 2 ? { from: apart(e), zoom } : null; }, { passive: true });
  box.addEventListener("touchmove", (e) => {
    if (!pinch || e.touches.length !== 2) return;
    e.preventDefault();
    setZoom(pinch.zoom * apart(e) / pinch.from);
  }, { passive: false });
  box.addEventListener("wheel", (e) => { if (e.ctrlKey) { e.preventDefault(); setZoom(zoom * (e.deltaY < 0 ? 1.1 : 1 / 1.1)); } }, { passive: false });
  // What a seat is called and costs, under the mouse.
  map.addEventListener("pointerover", (e) => {
    const r = e.target.closest?.("[data-seat]");
    if (!r) return;
    const title = r.firstChild ?? r.appendChild(document.createElementNS(map.namespaceURI, "title"));
    title.textContent = r.getAttribute("aria-label");
  });
  // Whole where its seats stay large enough to press; else life-size, the choice or the middle of the front in view.
  if (fit() > .55) setZoom(fit());
  const shown = chosen().find((s) => s.el);
  const place = shown && [Number(shown.el.getAttribute("x")), ...shown.el.parentNode.getAttribute("transform").match(/\d+/g).map(Number)];
  box.scrollLeft = place ? (place[0] + place[1]) * zoom - box.clientWidth / 2 : (box.scrollWidth - box.clientWidth) / 2;
  box.scrollTop = place ? place[2] * zoom - box.clientHeight / 3 : 0;

  // --- the stream
  const mode = (to) => {
    if (live.dataset.live === to && live.textContent.trim()) return;
    live.dataset.live = to;
    live.textContent = live.getAttribute(`data-words-${to}`);
  };
  function apply(changed) {
    const lost = [];
    for (const i of changed) {
      if (states[i] !== 0 && boxes.get(i)?.checked) lost.push(rects.get(i)?.name ?? boxes.get(i).dataset.name);
      paint(i);
    }
    // While our own press is under way, the seats it takes are not lost.
    if (lost.length && !sending) said.textContent = d.lost + lost.join(" · ");
    if (changed.length) { tell(lost.length > 0); countGrades(); }
  }
  // What came over the stream; gives the version after it, or null where a step is missing.
  function take(event, f) {
    if (event === "snapshot") {
      // What comes with a mark replaces what is here; else an older answer changes nothing.
      if (f.version < version && !f.reset) return version;
      const next = decode(f.states, f.seat_count), changed = [];
      for (let i = 0; i < next.length; i++) if (next[i] !== states[i]) changed.push(i);
      states = next;
      version = f.version;
      apply(changed);
      return version;
    }
    if (event === "changes") {
      if (f.to <= version) return version;
      if (f.from > version) return null;
      const changed = new Set();
      for (const step of f.changes.slice(version - f.from)) for (const [i, s] of step) { states[i] = s; changed.add(i); }
      version = f.to;
      apply([...changed]);
      return version;
    }
    if (event === "status") status(f);
  }
  // The organiser cancelled it, or the sale opens or closes: the page the server makes says what that means.
  function status(f) {
    const is = `${f.cancelled} ${f.sales_open_at} ${f.sales_close_at}`;
    if (about !== null && about !== is && !sending) location.reload();
    about = is;
  }
  follow({
    url: `/api/v1/performances/${d.performance}/stream`,
    snapshot: `/api/v1/performances/${d.performance}/seats`,
    tickets: d.tickets, version, take, mode,
  });
  addEventListener("pageshow", (e) => { if (e.persisted) { sending = false; newKey(form); if (best) newKey(best); } });

  const first = chosen()[0]?.i ?? [...rects.keys()].find((i) => states[i] === 0);
  if (first !== undefined) point(first, false);
  tell(false);
}

// Two bits a seat, seat 0 in the lowest bits of the first byte.
function decode(base64, count) {
  const bytes = atob(base64), states = new Uint8Array(count);
  for (let i = 0; i < count; i++) states[i] = (bytes.charCodeAt(i >> 2) >> (2 * (i & 3))) & 3;
  return states;
}
