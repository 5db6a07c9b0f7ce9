"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
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
  window.addEventListener("beforeprint", () => all().forEach((plot) => Plotly.relayout(plot, { width: 640 })));
  window.addEventListener("afterprint", () => all().forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true })));
})();
