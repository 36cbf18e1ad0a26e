// Lets the page be opened again without a network. What was loaded before the worker was there passes by it once more.
if ("serviceWorker" in navigator) {
  const workers = navigator.serviceWorker;
  const again = () => {
    const parts = document.querySelectorAll("link[rel=stylesheet], link[rel=icon], script[src], main img");
    for (const url of [location.href, ...[...parts].map((part) => part.href || part.src)]) fetch(url).catch(() => {});
  };
  if (!workers.controller) workers.addEventListener("controllerchange", again, { once: true });
  workers.register("/sw.js").catch(() => {});
}
