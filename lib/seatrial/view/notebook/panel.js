// Draws a load while it runs, on canvases. The kernel sends only new rows, as binary float32: time, then a value for each
// line of each strip. Nothing is kept in the model: a view says hello and gets the whole run. Texts are set as text only.

const MARKS = { level: [], server: [6, 3], throttled: [2, 3] };
const DASHES = [[], [7, 4], [2, 3]]; // lines of one strip can be told apart without their colour
const SIMULATED = [2, 4];
const LABELS = 46; // pixels for the figures of the vertical axis, at a font of 12 pixels

function made(tag, className, parent, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent?.append(node);
  return node;
}

function shown(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function clock(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, "0")}`;
}

function steps(high, wanted) {
  const raw = high / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, index) => index * step);
}

class Rows {
  constructor(columns) { this.columns = columns; this.count = 0; this.data = new Float32Array(columns * 1024); this.seen = new Set(); }
  add(view) {
    const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const fresh = new Float32Array(bytes);
    let room = this.data.length;
    while (room < this.count * this.columns + fresh.length) room *= 2;
    if (room > this.data.length) { const wider = new Float32Array(room); wider.set(this.data); this.data = wider; }
    this.data.set(fresh, this.count * this.columns);
    for (let at = 0; at < fresh.length; at += 1) if (Number.isFinite(fresh[at])) this.seen.add(at % this.columns);
    this.count += fresh.length / this.columns;
  }
  at(row, column) { return this.data[row * this.columns + column]; }
  nearest(time) {
    let low = 0, high = this.count - 1;
    while (low < high) { const middle = (low + high) >> 1; if (this.at(middle, 0) < time) low = middle + 1; else high = middle; }
    return low;
  }
  latest(column) {
    for (let row = this.count - 1; row >= Math.max(0, this.count - 8); row -= 1) {
      if (Number.isFinite(this.at(row, column))) return this.at(row, column);
    }
    return NaN;
  }
}

class Strip {
  constructor(description, column, panel, main) {
    Object.assign(this, { ...description, column, panel, main });
    this.node = made("section", main ? "st-strip st-main" : "st-strip", panel.grid);
    const head = made("div", "st-head", this.node);
    made("strong", "", head, description.unit ? `${description.title} (${description.unit})` : description.title);
    this.values = description.lines.map((line, index) => {
      if (line.look === "high") return null;
      const key = made("span", "st-key", head);
      const sample = made("i", `st-sample st-${line.look}`, key);
      sample.style.setProperty("--st-own", `var(--series-${this.color(index)})`);
      sample.dataset.line = String(index % DASHES.length);
      made("span", "", key, line.look === "low" ? "predicted" : line.name);
      return made("b", "", key);
    });
    this.canvas = made("canvas", "", this.node);
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.addEventListener("pointermove", (event) => panel.point(this.time(event.offsetX)));
    this.canvas.addEventListener("pointerleave", () => panel.point(null));
    this.canvas.addEventListener("keydown", (event) => panel.key(event));
  }
  color(index) { return this.lines[index].look === "faint" || this.lines[index].look === "bold" ? 0 : this.main ? 1 : index; }
  time(x) { return ((x - this.left) / Math.max(this.width - this.left - 8, 1)) * this.end; }
  known() { return this.lines.some((_, index) => this.panel.rows.seen.has(this.column + index)); }
  tell() {
    const { rows, cursor } = this.panel;
    const row = cursor === null ? -1 : rows.nearest(cursor);
    const read = (index) => (row < 0 ? rows.latest(this.column + index) : rows.at(row, this.column + index));
    const words = [];
    this.lines.forEach((line, index) => {
      const node = this.values[index];
      if (!node) return;
      node.parentNode.hidden = !rows.seen.has(this.column + index);
      const value = line.look === "low" && Number.isFinite(read(index)) ? `${shown(read(index))} to ${shown(read(index + 1))}` : shown(read(index));
      node.textContent = value;
      if (!node.parentNode.hidden) words.push(`${line.look === "low" ? "predicted" : line.name} ${value}`);
    });
    this.canvas.setAttribute("aria-label", `${this.title} over time, ${this.unit}: ${words.join(", ")}`);
  }
  draw() {
    this.node.hidden = !this.main && !this.known();
    if (this.node.hidden) return;
    const { panel, canvas } = this;
    const scale = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth; this.height = canvas.clientHeight;
    if (!this.width) return;
    const [wide, high] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = panel.look.font;
    this.left = Math.round((LABELS * panel.look.size) / 12); this.top = this.main ? panel.look.size + 8 : 6;
    this.bottom = this.height - panel.look.size - 8;
    this.end = Math.max(panel.span(), 10);
    this.highest = this.unit === "%" ? 100 : this.most() * 1.08 || 1;
    this.grid(pen); this.marks(pen);
    if (this.main) for (const run of panel.earlier) this.line(pen, run, 1, panel.look.muted, 1.5, []);
    this.lines.forEach((line, index) => this.series(pen, line, index));
    if (panel.cursor !== null) this.rule(pen, this.x(panel.cursor), panel.look.ink, []);
    this.tell();
  }
  most() {
    const { rows } = this.panel; let most = 0;
    for (let row = 0; row < rows.count; row += 1) for (let index = 0; index < this.lines.length; index += 1) {
      const value = rows.at(row, this.column + index); if (value > most) most = value;
    }
    if (this.main) for (const run of this.panel.earlier) for (let row = 0; row < run.count; row += 1) most = Math.max(most, run.at(row, 1) || 0);
    return most;
  }
  x(time) { return this.left + (time / this.end) * (this.width - this.left - 8); }
  y(value) { return this.bottom - (value / this.highest) * (this.bottom - this.top); }
  rule(pen, x, color, dash) { pen.strokeStyle = color; pen.lineWidth = 1; pen.setLineDash(dash); pen.beginPath(); pen.moveTo(x, this.top); pen.lineTo(x, this.bottom); pen.stroke(); pen.setLineDash([]); }
  grid(pen) {
    const { look } = this.panel;
    pen.fillStyle = look.muted; pen.strokeStyle = look.grid; pen.lineWidth = 1;
    pen.textAlign = "right"; pen.textBaseline = "middle";
    for (const tick of steps(this.highest, this.main ? 4 : 2)) {
      const y = Math.round(this.y(tick)) + 0.5;
      pen.beginPath(); pen.moveTo(this.left, y); pen.lineTo(this.width - 8, y); pen.stroke();
      pen.fillText(shown(tick), this.left - 6, y);
    }
    pen.textBaseline = "top"; pen.textAlign = "center";
    for (const tick of steps(this.end, this.main ? 8 : 4)) if (this.x(tick) < this.width - 20) pen.fillText(clock(tick), this.x(tick), this.bottom + 5);
  }
  marks(pen) {
    const { look, markers } = this.panel; let free = -1;
    pen.textBaseline = "bottom"; pen.textAlign = "left";
    for (const marker of markers) {
      const x = this.x(marker.at_s); const level = marker.kind === "level";
      this.rule(pen, x, level ? look.axis : look.warn, MARKS[marker.kind] ?? []);
      pen.fillStyle = level ? look.muted : look.warn;
      if (!level) { pen.beginPath(); pen.moveTo(x - 4, this.top); pen.lineTo(x + 4, this.top); pen.lineTo(x, this.top + 7); pen.fill(); }
      if (!this.main || !level) continue;
      const width = pen.measureText(marker.text).width;
      if (x > free && x + width < this.width) { pen.fillText(marker.text, x + 3, this.top - 2); free = x + width + 8; }
    }
  }
  series(pen, line, index) {
    const { rows, look, status } = this.panel; const column = this.column + index;
    if (line.look === "high" || !rows.seen.has(column)) return;
    const color = look.series[this.color(index)];
    if (line.look === "low") { this.band(pen, column, color); return; }
    const dash = status.simulated && line.look === "bold" ? SIMULATED : line.look === "plain" ? DASHES[index % DASHES.length] : [];
    pen.globalAlpha = line.look === "faint" ? 0.4 : 1;
    this.line(pen, rows, column, color, line.look === "bold" ? 2.5 : line.look === "faint" ? 1 : 1.75, dash);
    pen.globalAlpha = 1;
  }
  line(pen, rows, column, color, width, dash) { // where several rows fall on one pixel: their lowest and highest
    pen.strokeStyle = color; pen.lineWidth = width; pen.setLineDash(dash); pen.lineJoin = "round"; pen.beginPath();
    let open = false, pixel = -1, low = 0, high = 0;
    const flush = () => { if (pixel >= 0 && high !== low) { pen.lineTo(pixel, this.y(low)); pen.lineTo(pixel, this.y(high)); } };
    for (let row = 0; row < rows.count; row += 1) {
      const value = rows.at(row, column);
      if (!Number.isFinite(value)) { flush(); open = false; pixel = -1; continue; }
      const x = Math.round(this.x(rows.at(row, 0)) * 2) / 2;
      if (x === pixel) { low = Math.min(low, value); high = Math.max(high, value); continue; }
      flush();
      if (open) pen.lineTo(x, this.y(value)); else pen.moveTo(x, this.y(value));
      open = true; pixel = x; low = high = value;
    }
    flush(); pen.stroke(); pen.setLineDash([]);
  }
  band(pen, column, color) {
    const { rows } = this.panel;
    for (let start = 0; start < rows.count; start += 1) {
      if (!Number.isFinite(rows.at(start, column))) continue;
      let end = start;
      while (end + 1 < rows.count && rows.at(end + 1, column) === rows.at(start, column)) end += 1;
      const [x, y, bottom] = [this.x(rows.at(start, 0)), this.y(rows.at(start, column + 1)), this.y(rows.at(start, column))];
      const width = this.x(rows.at(end, 0)) - x;
      pen.fillStyle = pen.strokeStyle = color; pen.globalAlpha = 0.16; pen.fillRect(x, y, width, bottom - y);
      pen.globalAlpha = 0.8; pen.lineWidth = 1; pen.setLineDash([9, 5]);
      for (const edge of [y, bottom]) { pen.beginPath(); pen.moveTo(x, edge); pen.lineTo(x + width, edge); pen.stroke(); }
      pen.setLineDash([]); pen.globalAlpha = 1; start = end;
    }
  }
}

class Panel {
  constructor(model, el) {
    Object.assign(this, { model, rows: new Rows(1), strips: [], markers: [], earlier: [], cursor: null, status: {}, due: 0, told: 0 });
    this.root = made("div", "seatrial-panel", el);
    this.root.addEventListener("keydown", (event) => { // the notebook would take the arrow keys for itself
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey && event.key !== "Escape") event.stopPropagation();
    });
    this.root.setAttribute("role", "group"); this.root.setAttribute("aria-label", "Load panel");
    const top = made("div", "st-top", this.root);
    this.headline = made("div", "st-headline", top); this.detail = made("div", "st-detail", top);
    this.badge = made("div", "st-badge", top); this.controls();
    this.progress = made("progress", "", this.root); this.progress.setAttribute("aria-label", "Requests that are over"); this.progress.max = 1;
    this.error = made("div", "st-error", this.root); this.error.setAttribute("role", "alert");
    this.grid = made("div", "st-grid", this.root); this.list = made("ul", "st-list", this.root);
    this.spoken = made("div", "st-spoken", this.root); this.spoken.setAttribute("role", "status");
    this.sizes = new ResizeObserver(() => this.later()); this.sizes.observe(this.root);
    this.theme = new MutationObserver(() => { this.look = null; this.later(); });
    this.theme.observe(document.body, { attributes: true });
    this.dark = matchMedia("(prefers-color-scheme: dark)"); this.recolor = () => { this.look = null; this.later(); };
    this.dark.addEventListener("change", this.recolor);
    this.hear = (message, buffers) => this.take(message, buffers);
    model.on("msg:custom", this.hear); model.send({ kind: "hello" });
  }
  controls() {
    const row = made("div", "st-controls", this.root);
    const button = (name, text, title, act) => {
      const node = made("button", `seatrial-${name}`, row, text);
      node.type = "button"; node.title = title; node.addEventListener("click", act);
      return node;
    };
    const sizes = () => Object.fromEntries([["prompt_tokens", this.prompt], ["answer_tokens", this.answer]]
      .filter(([, input]) => input.value !== input.defaultValue).map(([name, input]) => [name, input.value]));
    this.start = button("start", "Start", "Send the load levels, one after the other", () => this.model.send({ kind: "start", ...sizes() }));
    this.free = button("free", "Free run", "Keep as many streams busy as the slider says, until Stop", () => this.model.send({ kind: "free", streams: +this.slider.value, ...sizes() }));
    this.halt = button("stop", "Stop", "End the load now; what it brought stays", () => this.model.send({ kind: "stop" }));
    const field = (name, text, type, title) => {
      const label = made("label", `st-field seatrial-${name}`, row, text); label.title = title;
      const input = made("input", "", label); input.type = type; input.min = 1;
      return input;
    };
    this.slider = field("streams", "Streams", "range", "Streams at once, also while a load runs: it then goes on with so many until Stop");
    this.number = made("output", "", this.slider.parentNode);
    this.slider.addEventListener("input", () => { this.number.textContent = this.slider.value; this.moved = true; clearTimeout(this.wish); this.wish = setTimeout(() => this.wished(), 120); });
    this.prompt = field("prompt", "Prompt (tokens)", "number", "Length of each prompt, from the next start on");
    this.answer = field("answer", "Answer (tokens)", "number", "Longest answer, from the next start on");
    const larger = button("larger", "A+", "Larger text, for a projector", () => { this.root.classList.toggle("st-large"); larger.setAttribute("aria-pressed", this.root.classList.contains("st-large")); this.recolor(); });
    larger.setAttribute("aria-pressed", "false"); larger.setAttribute("aria-label", "Larger text");
  }
  wished() { this.moved = false; if (this.status.running) this.model.send({ kind: "streams", streams: +this.slider.value }); }
  take(message, buffers) {
    if (message.kind === "full") {
      this.root.classList.add("seatrial-live");
      this.grid.replaceChildren(); this.rows = new Rows(message.columns); this.markers = [];
      let column = 1;
      this.strips = message.strips.map((one, index) => { const strip = new Strip(one, column, this, index === 0); column += one.lines.length; return strip; });
      this.earlier = buffers.slice(1).map((buffer) => { const run = new Rows(2); run.add(buffer); return run; });
      this.slider.max = message.most_streams; if (!this.number.textContent) this.slider.value = message.streams;
      if (!this.prompt.defaultValue) { this.prompt.defaultValue = message.prompt_tokens; this.answer.defaultValue = message.answer_tokens; }
      this.number.textContent = this.slider.value; this.rows.add(buffers[0]);
    } else if (message.kind === "rows") {
      if (!this.strips.length || message.from !== this.rows.count) { this.model.send({ kind: "hello" }); return; }
      this.rows.add(buffers[0]);
    } else return;
    this.markers.push(...message.markers); this.follow(message.status); this.later();
  }
  follow(status) {
    const changed = status.running !== this.status.running || status.detail_short !== this.status.detail_short;
    this.status = status;
    this.headline.textContent = status.headline; this.detail.textContent = status.detail; this.badge.textContent = status.label;
    this.error.textContent = status.error;
    this.start.disabled = this.free.disabled = this.prompt.disabled = this.answer.disabled = status.running; this.halt.disabled = !status.running;
    this.slider.disabled = status.running && !status.steered; if (status.streams && !this.moved && document.activeElement !== this.slider) { this.slider.value = status.streams; this.number.textContent = status.streams; }
    this.progress.hidden = !status.running; if (status.share === null) this.progress.removeAttribute("value"); else this.progress.value = status.share;
    const marks = this.markers.filter((one) => one.kind !== "level").slice(-5).map((one) => `${clock(one.at_s)}: ${one.text}`);
    const lines = [...status.runs, ...marks];
    if (lines.join("\n") !== this.listed) { this.listed = lines.join("\n"); this.list.replaceChildren(...lines.map((text) => made("li", "", null, text))); }
    if (changed || Date.now() - this.told > 10000) { this.told = Date.now(); this.spoken.textContent = `${status.headline} ${status.detail}`; }
  }
  span() { const last = (rows) => (rows.count ? rows.at(rows.count - 1, 0) : 0); return Math.max(last(this.rows), ...this.earlier.map(last)); }
  point(time) { this.cursor = time === null || !this.rows.count ? null : Math.min(Math.max(time, 0), this.span()); this.later(); }
  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.point(null);
    if (!step) return;
    event.preventDefault(); event.stopPropagation();
    this.point((this.cursor ?? this.span()) + (step * this.span()) / 100);
  }
  later() { if (!this.due) this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); }); }
  draw() {
    if (!this.look) {
      const style = getComputedStyle(this.root); const color = (name) => style.getPropertyValue(`--st-${name}`).trim();
      const size = Math.max(parseFloat(style.fontSize) - 1, 11);
      this.look = { size, font: `${size}px ${style.fontFamily}`, ink: color("ink"), muted: color("muted"), grid: color("grid"), axis: color("axis"), warn: color("warn"), series: [0, 1, 2, 3].map((at) => style.getPropertyValue(`--series-${at}`).trim()) };
    }
    for (const strip of this.strips) strip.draw();
  }
  close() { this.model.off("msg:custom", this.hear); this.sizes.disconnect(); this.theme.disconnect(); this.dark.removeEventListener("change", this.recolor); cancelAnimationFrame(this.due); clearTimeout(this.wish); }
}

export default { render({ model, el }) { const panel = new Panel(model, el); return () => panel.close(); } };
