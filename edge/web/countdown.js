// The time left of a hold. It informs: no blinking, and a screen reader hears it at whole minutes only.
const clock = document.getElementById("countdown");

if (clock) {
  const { until, now, left, over } = clock.dataset;
  // The server's clock rules; this one may be wrong. Time passed is measured, so changing the clock changes nothing.
  const start = performance.now();
  const total = Number(until) - Number(now);
  const said = document.getElementById("countdown-said");
  const server = clock.textContent.trim();
  const digits = document.createElement("b");
  digits.setAttribute("role", "timer");
  const note = document.createElement("small");
  note.textContent = server;
  if (total > 0) clock.replaceChildren(`${left} `, digits, " · ", note);
  let spoken = Math.ceil(total / 60000);

  const tick = () => {
    const ms = total - (performance.now() - start);
    if (ms <= 0) {
      clock.textContent = over;
      said.textContent = over;
      for (const id of ["order", "pay"]) document.getElementById(id)?.setAttribute("disabled", "");
      dispatchEvent(new Event("nugul:over"));
      return;
    }
    const s = Math.ceil(ms / 1000);
    digits.textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
    const minutes = Math.ceil(ms / 60000);
    if (minutes < spoken) { spoken = minutes; said.textContent = `${left} ${digits.textContent}`; }
    setTimeout(tick, ms % 1000 || 1000);
  };
  tick();
  // A page taken from memory has stood still; ask the server again.
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
}
