"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("plot-data").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const font = { family: getComputedStyle(document.body).fontFamily, size: 13 };
  const config = {
    displaylogo: false,
    responsive: true,
    displayModeBar: false,
  };
  const shared = {
    font,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "closest",
    hoverlabel: { bgcolor: "#20262e", bordercolor: "#20262e", font: { ...font, color: "#ffffff" } },
    // a finger scrolls the page; a mouse zooms
    dragmode: touch ? false : "zoom",
  };
  for (const [key, figure] of Object.entries(figures)) {
    Plotly.newPlot(document.getElementById(key), figure.data, { ...shared, ...figure.layout }, config);
  }
  const all = () => document.querySelectorAll(".plot");
  const folded = () => document.querySelectorAll(".verdict details:not([open])");
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...folded()];
    opened.forEach((details) => (details.open = true));
    // pixels of a page of A4 or letter between its margins, and of half of it
    all().forEach((plot) => Plotly.relayout(plot, { width: plot.closest(".wide") ? 680 : 330 }));
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((details) => (details.open = false));
    all().forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true }));
  });
})();
