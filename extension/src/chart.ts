// The loss chart: plotly.js in its own lazily loaded chunk, redrawn in place, coloured by JupyterLab's theme.

import { axisEnd, formatRate, type RunState } from "tunebook/widgets/browser";
import { element, type Part } from "./dom.js";
import type { Plotly } from "./plotly.js";

/** Least milliseconds between two redraws: five a second is as much as an eye follows. */
const REDRAW_MS = 200;

/** A chart of fixed height that draws only while it can be seen. */
export function chartPart(): Part<RunState> {
  const plot = element("div", { class: "tb-plot", "aria-hidden": "true" });
  const node = element("div", { class: "tb-chart", role: "img", "aria-label": "Loss over updates" }, plot);
  let plotly: Plotly | undefined;
  let state: RunState | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let seen = false;
  let stale = false;
  let disposed = false;

  const draw = () => {
    timer = undefined;
    if (!state || disposed) return;
    if (!plotly || !seen) {
      stale = true;
      return;
    }
    stale = false;
    const { traces, layout } = figure(state, themeOf(node));
    void plotly.react(plot, traces, layout, { displayModeBar: false, responsive: false, doubleClick: "reset" });
  };
  const soon = () => {
    timer ??= setTimeout(draw, REDRAW_MS);
  };

  const visible = new IntersectionObserver((entries) => {
    seen = entries.at(-1)!.isIntersecting;
    if (seen && stale) draw();
  });
  visible.observe(node);
  const size = new ResizeObserver(soon);
  size.observe(node);
  const theme = new MutationObserver(soon);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });

  import("./plotly.js").then(
    (module) => {
      plotly = module.plotly;
      draw();
    },
    (error: unknown) => {
      plot.textContent = `The chart could not be loaded (${String(error)}). Reload the page to try again.`;
    },
  );

  return {
    node,
    update(next) {
      state = next;
      soon();
    },
    dispose() {
      disposed = true;
      clearTimeout(timer);
      visible.disconnect();
      size.disconnect();
      theme.disconnect();
      plotly?.purge(plot);
    },
  };
}

interface Theme {
  readonly text: string;
  readonly grid: string;
  readonly train: string;
  readonly validation: string;
  readonly change: string;
  readonly font: string;
  readonly width: number;
}

function themeOf(node: HTMLElement): Theme {
  const style = getComputedStyle(node);
  const variable = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise;
  return {
    text: variable("--jp-ui-font-color1", "#333333"),
    grid: variable("--jp-border-color2", "#dddddd"),
    train: variable("--jp-brand-color1", "#1976d2"),
    validation: variable("--jp-warn-color0", "#e65100"),
    change: variable("--tb-change-colour", "#8250df"),
    font: variable("--jp-ui-font-family", "sans-serif"),
    width: node.clientWidth,
  };
}

/** Traces and layout for plotly; the data arrays are the state's own columns. */
function figure(state: RunState, theme: Theme): { traces: object[]; layout: object } {
  const { series, validation, changes } = state;
  const shown = series.update.length;
  const rates = series.learningRate.map(formatRate);
  const traces = [
    {
      type: "scatter",
      mode: shown > 1 ? "lines" : "markers",
      name: "training",
      x: series.update,
      y: series.loss,
      customdata: series.update.map((_, i) => [rates[i], series.gradientNorm[i], series.tokensPerSecond[i]]),
      hovertemplate:
        "update %{x}<br>loss %{y:.4f}<br>rate %{customdata[0]}<br>gradient norm %{customdata[1]:.3f}<br>%{customdata[2]:,.0f} tokens/s<extra></extra>",
      line: { color: theme.train, width: 1.75 },
      connectgaps: false,
    },
    {
      type: "scatter",
      mode: "markers",
      name: "validation",
      x: validation.map((point) => point.update),
      y: validation.map((point) => point.loss),
      hovertemplate: "update %{x}<br>validation loss %{y:.4f}<extra></extra>",
      marker: { color: theme.validation, size: 8 },
      cliponaxis: false,
      visible: validation.length > 0,
    },
  ];
  const last = axisEnd(state);
  const axis = { gridcolor: theme.grid, zeroline: false, linecolor: theme.text, automargin: true };
  const layout = {
    width: theme.width,
    height: 260,
    margin: { l: 54, r: 16, t: 28, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: theme.text, family: theme.font, size: 12 },
    xaxis: { ...axis, title: { text: "update", font: { size: 12 } }, range: [0, last], showgrid: false },
    yaxis: { ...axis, title: { text: "loss, nats per trained token", font: { size: 12 } }, autorange: true },
    showlegend: true,
    legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom" },
    hovermode: "closest",
    uirevision: state.runId, // a reader's zoom outlives redraws
    shapes: changes.map(({ update }) => ({
      type: "line",
      x0: update,
      x1: update,
      yref: "paper",
      y0: 0,
      y1: 1,
      line: { color: theme.change, width: 1, dash: "dot" },
    })),
    annotations: changes.map(({ update, controls }) => ({
      x: update,
      y: 1,
      yref: "paper",
      yanchor: "top",
      xanchor: update > last * 0.8 ? "right" : "left",
      showarrow: false,
      font: { color: theme.change, size: 11 },
      text: controls.learningRate === undefined ? "changed" : `rate ${formatRate(controls.learningRate)}`,
    })),
  };
  return { traces, layout };
}
