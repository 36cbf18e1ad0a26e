// Suggestions below the search field: a listbox the arrows walk, Enter takes and Escape closes.
const input = document.getElementById("q");
const WAIT_MS = 150;

if (input) {
  const list = document.createElement("ul");
  list.id = "q-list";
  list.className = "suggest";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", input.dataset.label);
  // How many there are, for those who do not see the list.
  const status = document.createElement("p");
  status.className = "hidden";
  status.setAttribute("role", "status");
  input.form.append(list, status);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", list.id]])
    input.setAttribute(name, value);

  let timer = 0, asked = null, at = -1;

  const close = () => {
    clearTimeout(timer);
    asked?.abort();
    list.hidden = true;
    status.textContent = "";
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const point = (to) => {
    at = to;
    [...list.children].forEach((li, k) => li.setAttribute("aria-selected", String(k === at)));
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[at].id);
  };

  // A text with what matched of it marked; the parts are counted in characters.
  const marked = (text, parts = []) => {
    const letters = [...text], nodes = [];
    let end = 0;
    for (const { from, to } of parts) {
      const mark = document.createElement("mark");
      mark.textContent = letters.slice(from, to).join("");
      nodes.push(letters.slice(end, from).join(""), mark);
      end = to;
    }
    return [...nodes, letters.slice(end).join("")];
  };

  const show = (found) => {
    list.replaceChildren(...found.map((s, k) => {
      const li = document.createElement("li");
      li.id = `q-${k}`;
      li.setAttribute("role", "option");
      li.dataset.event = s.event_id;
      const title = document.createElement("span");
      title.append(...marked(s.title, s.highlights));
      const place = document.createElement("small");
      place.textContent = s.place;
      li.append(title, place);
      return li;
    }));
    point(-1);
    list.hidden = !found.length;
    status.textContent = found.length ? input.dataset.count.replace("{n}", found.length) : "";
    input.setAttribute("aria-expanded", String(!list.hidden));
  };

  const ask = async () => {
    const q = input.value.trim();
    if (!q) return close();
    asked?.abort();
    const mine = asked = new AbortController();
    try {
      const answer = await fetch(`/api/v1/search/suggest?q=${encodeURIComponent(q)}`, { signal: mine.signal, headers: { "x-nugul-page": "1" } });
      if (!answer.ok) return close();
      const body = await answer.json();
      if (mine === asked && document.activeElement === input) show((Array.isArray(body) ? body : body.items ?? []).slice(0, 8));
    } catch (e) {
      if (e.name !== "AbortError") close();
    }
  };

  const go = (li) => { location.href = `/events/${encodeURIComponent(li.dataset.event)}`; };

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); });
  input.addEventListener("keydown", (e) => {
    const count = list.hidden ? 0 : list.children.length;
    // A Hangul syllable still being composed owns its keys.
    if (e.isComposing || !count) return;
    if (e.key === "ArrowDown") point(at + 1 < count ? at + 1 : -1);
    else if (e.key === "ArrowUp") point(at < 0 ? count - 1 : at - 1);
    else if (e.key === "Enter" && at >= 0) go(list.children[at]);
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
  });
  // Before the field loses its focus, so that the press is not lost.
  list.addEventListener("pointerdown", (e) => e.preventDefault());
  list.addEventListener("click", (e) => { const li = e.target.closest("li"); if (li) go(li); });
  input.addEventListener("blur", close);
}
