// The charts of the overview. What they show stands in the table below them too.
(() => {
  "use strict";

  const REFRESH_SECONDS = 30;
  const HEIGHT = 150;
  const LINES = {
    rates: [["completed", "Completed", "--bar-good"], ["failed", "Failed", "--bar-bad", [5, 4]]],
    latency: [["p50", "p50", "--bar-run"], ["p95", "p95", "--bar-warn", [5, 4]]],
    backlog: [["pending", "Pending", "--bar-run"], ["scheduled", "Scheduled", "--bar-warn", [5, 4]],
      ["in_flight", "In flight", "--bar-good", [2, 3]]],
  };

  const root = document.getElementById("charts");
  if (!root || !window.uPlot) return;
  const plots = new Map();
  const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const plain = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
  const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
  let last = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const seconds = (value) => (value < 1 ? `${plain.format(Math.round(value * 1000))} ms` : `${plain.format(value)} s`);

  function options(kind, width) {
    const isTime = kind === "latency";
    const axis = { stroke: color("--soft"), grid: { stroke: color("--edge"), width: 1 },
      ticks: { stroke: color("--edge"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
    // with no point under the cursor the legend tells of the last one
    const told = (plot, value, row, at) => (at === null || at === undefined ? plot.data[row].at(-1) : value);
    const said = (value) => (value === null || value === undefined ? "-" : isTime ? seconds(value) : plain.format(value));
    return {
      width, height: HEIGHT, cursor: { y: false, points: { size: 6 } }, legend: { live: true },
      scales: { x: { time: true }, y: { range: (_u, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, size: 32, space: 56, values: (_u, all) => all.map((each) => hours.format(new Date(each * 1000))) },
        { ...axis, size: isTime ? 56 : 46, space: 32, values: (_u, all) => all.map((each) => (isTime ? seconds(each) : short.format(each))) },
      ],
      series: [
        { label: "From", value: (plot, value, row, at) => exact.format(new Date(told(plot, value, row, at) * 1000)) },
        ...LINES[kind].map(([, label, stroke, dash]) => ({
          label, stroke: color(stroke), width: 1.75, dash, spanGaps: false,
          points: { show: (_u, _i, first, end) => end - first < 2, size: 5 },
          value: (plot, value, row, at) => said(told(plot, value, row, at)),
        })),
      ],
    };
  }

  function draw(told) {
    for (const place of root.querySelectorAll(".chart")) {
      const points = told.services[place.dataset.service];
      if (!points) continue;
      const kind = place.dataset.chart;
      const data = [points.starts, ...LINES[kind].map(([field]) => points[field])];
      const plot = plots.get(place);
      if (plot) plot.setData(data);
      else plots.set(place, new uPlot(options(kind, place.clientWidth), data, place));
    }
  }

  function drawAnew() {
    for (const plot of plots.values()) plot.destroy();
    plots.clear();
    if (last) draw(last);
  }

  async function load() {
    const failed = root.querySelector("[data-failed]");
    try {
      const reply = await fetch(root.dataset.source, { redirect: "error" });
      if (!reply.ok) throw new Error(String(reply.status));
      last = await reply.json();
      failed.hidden = true;
      draw(last);
    } catch {
      failed.hidden = false;
    }
  }

  root.hidden = false;
  load();
  setInterval(() => { if (!document.hidden) load(); }, REFRESH_SECONDS * 1000);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    for (const [place, plot] of plots) plot.setSize({ width: place.clientWidth, height: HEIGHT });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  new MutationObserver(drawAnew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
