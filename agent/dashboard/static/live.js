// A page that is told of changes and then fetches its live part anew; without a stream it looks by
// itself. While somebody uses that part, or does not look at the page, it stays as it is.
(() => {
  "use strict";

  const QUIET = 10; // seconds between two looks of a page that is told of changes
  const COMMANDS = 2; // of MongoDB that a page may cost a second
  const SAVED = 6; // of those that it has not used, at most
  const USED = 1; // second after which a part that is used is looked at again

  const stream = document.getElementById("stream");
  const first = document.getElementById("live");
  const refresh = Number(first && first.dataset.refresh); // seconds, without a stream
  if (!stream || !refresh || !window.htmx) return;
  const least = Number(first.dataset.least) || 1; // seconds between two looks: of lists more
  const every = Number(first.dataset.every) || QUIET; // seconds, beside a stream

  let isDue = false; // there may be something new
  let isTold = false; // the stream is open
  let isAsking = false;
  let saved = SAVED;
  let savedAt = performance.now();
  let askedAt = savedAt;
  let restAt = 0; // until then it does not ask, as something went wrong
  let timer = 0;

  function isUsed(live) {
    const focused = document.activeElement;
    const types = focused && live.contains(focused) && focused.matches("input, select, textarea");
    return types || live.querySelector("details.act[open], tbody input:checked") !== null;
  }

  function say() {
    const place = document.getElementById("freshness");
    const live = document.getElementById("live");
    if (!place || !live) return;
    place.hidden = false;
    place.textContent = isUsed(live) ? "Held while you use it" : isTold ? "Live" : `Every ${refresh} s`;
    place.dataset.state = isUsed(live) ? "held" : isTold ? "live" : "polls";
  }

  // Seconds until it may look again: what it costs is known only afterwards, and then paid off.
  function left() {
    const now = performance.now();
    saved = Math.min(SAVED, saved + COMMANDS * (now - savedAt) / 1000);
    savedAt = now;
    return Math.max(saved > 0 ? 0 : 0.1 - saved / COMMANDS, least - (now - askedAt) / 1000, (restAt - now) / 1000);
  }

  function again(seconds) {
    clearTimeout(timer);
    timer = setTimeout(look, seconds * 1000);
  }

  async function fetchAnew() {
    isDue = false;
    isAsking = true;
    let cost = 0;
    // What has come is left out if it is no such page, or somebody began to use this one meanwhile.
    const note = (event) => {
      const reply = event.detail.ctx.response;
      const live = document.getElementById("live");
      cost = Number(reply.headers.get("Agent-Cost")) || 0;
      if (reply.status === 200 && live && !isUsed(live)) return;
      if (reply.status !== 200) restAt = performance.now() + refresh * 1000;
      isDue = true;
      event.preventDefault();
    };
    document.addEventListener("htmx:before:swap", note);
    try {
      await window.htmx.ajax("GET", location.pathname + location.search, {
        target: "#live", select: "#live", swap: "outerMorph",
      });
    } catch { /* the next look finds it */ } finally {
      document.removeEventListener("htmx:before:swap", note);
      isAsking = false;
      askedAt = performance.now();
      saved -= cost;
      if (isDue) look();
    }
  }

  function look() {
    const live = document.getElementById("live");
    say();
    if (!isDue || isAsking || document.hidden || !live) return;
    const wait = left();
    if (wait > 0) again(wait);
    else if (isUsed(live)) again(USED);
    else fetchAnew();
  }

  function mayBeOld() {
    isDue = true;
    look();
  }

  function opened(is) {
    isTold = is;
    say();
  }

  stream.addEventListener("changed", mayBeOld);
  stream.addEventListener("htmx:before:swap", (event) => event.preventDefault()); // it was refused
  stream.addEventListener("htmx:sse:after:connection", () => opened(true));
  for (const name of ["htmx:sse:before:connection", "htmx:sse:error", "htmx:sse:close"]) {
    stream.addEventListener(name, () => opened(false));
  }
  document.addEventListener("visibilitychange", look);
  setInterval(() => {
    if (performance.now() - askedAt >= (isTold ? every : refresh) * 1000) mayBeOld();
    else say();
  }, 1000);

  // behind htmx's own start, which may have come before its extension was there
  setTimeout(() => {
    stream.setAttribute("hx-sse:connect", stream.dataset.source);
    window.htmx.process(stream);
  });
  say();
})();
