// What the pages do beyond reading. Every one of them can be read without.
(() => {
  "use strict";

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  // Times in the reader's zone; the title keeps the exact one in UTC.
  function localise(root) {
    for (const each of root.querySelectorAll("time[datetime]:not(.ago):not([data-local])")) {
      const at = new Date(each.dateTime);
      if (!Number.isNaN(at.getTime())) each.textContent = exact.format(at);
      each.dataset.local = "";
    }
  }

  // The theme: the other one than is shown now, remembered.
  function offerTheme() {
    const button = document.getElementById("theme");
    if (!button) return;
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const now = () => root.dataset.theme || (system.matches ? "dark" : "light");
    const say = () => button.setAttribute("aria-pressed", String(now() === "dark"));
    button.hidden = false;
    say();
    system.addEventListener("change", say);
    button.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* for this page only */ }
      say();
    });
  }

  // Only one panel of a page is open; Escape closes it and gives the focus back.
  function tidyPanels() {
    document.addEventListener("toggle", (event) => {
      const opened = event.target;
      if (!(opened instanceof HTMLDetailsElement) || !opened.open) return;
      if (!opened.classList.contains("act")) return;
      for (const each of document.querySelectorAll("details.act[open]")) {
        if (each !== opened) each.open = false;
      }
    }, true);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      const open = document.querySelector("details.act[open]");
      if (!open) return;
      open.open = false;
      open.querySelector("summary").focus();
    });
  }

  // Boxes of a list: all of the page at once, and how many are chosen.
  function countChosen() {
    const boxes = () => [...document.querySelectorAll("tbody input[type=checkbox]")];
    // no id: htmx gives what has one its attributes anew a moment after it has put it in
    const all = () => document.querySelector("[data-choose-all]");
    const show = () => {
      const chosen = boxes().filter((each) => each.checked).length;
      for (const each of document.querySelectorAll("[data-chosen]")) each.textContent = `${chosen} chosen`;
      for (const each of document.querySelectorAll("#chosen button")) each.disabled = chosen === 0;
      if (!all()) return;
      all().hidden = false;
      all().checked = chosen > 0 && chosen === boxes().length;
      all().indeterminate = chosen > 0 && chosen < boxes().length;
    };
    document.addEventListener("change", (event) => {
      if (event.target === all()) for (const each of boxes()) each.checked = event.target.checked;
      show();
    });
    show();
    return show;
  }

  // A form is sent once, however often its button is pressed.
  function sendOnce() {
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (form.method !== "post") return;
      if (form.dataset.sent !== undefined) event.preventDefault();
      form.dataset.sent = "";
    });
    addEventListener("pageshow", () => {
      for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    });
  }

  // On a narrow page the menu is a line that goes on beyond its edge.
  function showHere() {
    const here = document.querySelector(".menu a[aria-current]");
    const menu = here && here.closest(".menu");
    if (menu) menu.scrollLeft = here.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2;
  }

  localise(document);
  offerTheme();
  showHere();
  tidyPanels();
  sendOnce();
  const showChosen = countChosen();
  addEventListener("pageshow", showChosen);
  document.addEventListener("htmx:after:swap", () => {
    localise(document);
    showChosen();
  });
})();
