// Layers of pictures in the image's own pixels: wheel and pinch zoom, drag moves, tools draw, all of it from the keyboard too. It decides nothing: strokes and clicks go to the server.
export default {
  template: `
    <div ref="frame" class="medseg-viewer" tabindex="0" role="application" :aria-label="label" :data-tool="tool"
         @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up"
         @dblclick="refit" @keydown="key">
      <canvas ref="canvas"></canvas>
    </div>`,
  props: {
    label: String,
    width: Number,
    height: Number,
    sides: { type: Array, default: () => [1, 1] },
    layers: { type: Array, default: () => [] }, // {url, opacity, smooth}
    tool: { type: String, default: "move" }, // move, brush, eraser, inside, outside
    radius: { type: Number, default: 10 },
    colour: { type: String, default: "#fff" },
    marks: { type: Array, default: () => [] }, // {x, y, inside}
  },
  data: () => ({ scale: 1, left: 0, top: 0, stroke: null, pointer: null, pointers: new Map(), shown: 0 }),
  created() {
    this.pictures = new Map();
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.$refs.frame);
    this.follow = (event) => { if (event.detail.from !== this) this.take(event.detail); };
    document.addEventListener("medseg-view", this.follow);
    this.load();
  },
  beforeUnmount() {
    this.observer.disconnect();
    document.removeEventListener("medseg-view", this.follow);
  },
  watch: {
    layers: { deep: true, handler() { this.load(); } },
    width() { this.fit(); },
    height() { this.fit(); },
    tool() { this.draw(); },
    radius() { this.draw(); },
    marks: { deep: true, handler() { this.draw(); } },
  },
  methods: {
    aspect() {
      const narrow = Math.min(...this.sides);
      return [this.sides[0] / narrow, this.sides[1] / narrow];
    },
    load() {
      for (const layer of this.layers) {
        if (this.pictures.has(layer.url)) continue;
        const picture = new Image();
        this.pictures.set(layer.url, null);
        picture.onload = () => { this.pictures.set(layer.url, picture); this.draw(); };
        picture.onerror = () => { this.pictures.delete(layer.url); this.$emit("failed", { url: layer.url }); };
        picture.src = layer.url;
      }
      const wanted = new Set(this.layers.map((layer) => layer.url));
      for (const url of [...this.pictures.keys()].slice(0, -40)) if (!wanted.has(url)) this.pictures.delete(url);
      this.draw();
    },
    tell() { // the page's other viewers show the same part
      const frame = this.$refs.frame;
      const [x, y] = this.pixel([frame.clientWidth / 2, frame.clientHeight / 2]);
      document.dispatchEvent(new CustomEvent("medseg-view", { detail: { from: this, x, y, scale: this.scale } }));
    },
    take({ x, y, scale }) {
      const frame = this.$refs.frame;
      if (!frame || !this.width) return;
      const [sx, sy] = this.aspect();
      this.scale = scale;
      this.left = frame.clientWidth / 2 - x * sx * scale;
      this.top = frame.clientHeight / 2 - y * sy * scale;
      this.draw();
    },
    fit() {
      const frame = this.$refs.frame;
      if (!frame || !this.width || !frame.clientWidth) return;
      const [x, y] = this.aspect();
      this.scale = Math.min(frame.clientWidth / (this.width * x), frame.clientHeight / (this.height * y));
      this.left = (frame.clientWidth - this.width * x * this.scale) / 2;
      this.top = (frame.clientHeight - this.height * y * this.scale) / 2;
      this.draw();
    },
    refit() {
      this.fit();
      this.tell();
    },
    zoom(factor, x, y) {
      const frame = this.$refs.frame;
      x = x ?? frame.clientWidth / 2;
      y = y ?? frame.clientHeight / 2;
      const scale = Math.min(80, Math.max(0.02, this.scale * factor));
      this.left = x - ((x - this.left) * scale) / this.scale;
      this.top = y - ((y - this.top) * scale) / this.scale;
      this.scale = scale;
      this.draw();
      this.tell();
    },
    pan(dx, dy) {
      this.left += dx;
      this.top += dy;
      this.draw();
      this.tell();
    },
    at(event) {
      const box = this.$refs.frame.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    },
    pixel([x, y]) {
      const [sx, sy] = this.aspect();
      return [(x - this.left) / (this.scale * sx), (y - this.top) / (this.scale * sy)];
    },
    wheel(event) {
      if (event.shiftKey) return this.$emit("slice", { step: Math.sign(event.deltaY || event.deltaX) });
      this.zoom(Math.exp(-event.deltaY * 0.0015), ...this.at(event));
    },
    down(event) {
      if (event.button > 1) return;
      this.$refs.frame.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.at(event));
      this.travelled = 0;
      if (this.pointers.size === 1 && event.button === 0 && this.draws())
        this.stroke = [this.pixel(this.at(event))];
      else this.stroke = null;
      this.draw();
    },
    move(event) {
      const now = this.at(event);
      this.pointer = now;
      this.steered = false;
      const before = this.pointers.get(event.pointerId);
      if (before) {
        this.travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
        if (this.stroke) this.stroke.push(this.pixel(now));
        else if (this.pointers.size === 1) this.pan(now[0] - before[0], now[1] - before[1]);
        else this.pinch(event.pointerId, before, now);
        this.pointers.set(event.pointerId, now);
      }
      if (this.tool !== "move") this.draw();
    },
    pinch(id, before, now) {
      const other = [...this.pointers].find(([key]) => key !== id)[1];
      const distance = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      if (distance(before) > 0) this.zoom(distance(now) / distance(before), ...other);
    },
    up(event) {
      if (!this.pointers.delete(event.pointerId)) return;
      if (this.stroke && event.type === "pointerup") this.$emit("stroke", { points: this.stroke, erase: this.tool === "eraser" });
      else if (this.travelled < 5 && event.type === "pointerup" && (this.tool === "inside" || this.tool === "outside")) {
        this.mark(this.at(event));
      }
      this.stroke = null;
      this.draw();
    },
    mark(point) {
      const [x, y] = this.pixel(point);
      if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.$emit("mark", { x, y, inside: this.tool === "inside" });
    },
    key(event) {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const pans = ([x, y]) => this.pan(-40 * x, -40 * y);
      if (event.key in moves) this.tool === "move" ? pans(moves[event.key]) : this.steer(moves[event.key], event.shiftKey);
      else if (event.key === " " && this.tool !== "move") this.use();
      else if (event.key === "+" || event.key === "=") this.zoom(1.25);
      else if (event.key === "-") this.zoom(0.8);
      else if (event.key === "0") this.refit();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    cursor() { // for who has no pointer: it begins in the middle
      const frame = this.$refs.frame;
      this.pointer = this.pointer ?? [frame.clientWidth / 2, frame.clientHeight / 2];
      return this.pointer;
    },
    steer([x, y], along) { // along: draw on the way
      const frame = this.$refs.frame, from = this.cursor(), step = 8;
      const within = (place, most) => Math.min(most, Math.max(0, place));
      this.pointer = [within(from[0] + step * x, frame.clientWidth), within(from[1] + step * y, frame.clientHeight)];
      this.steered = true;
      if (along && this.draws()) this.$emit("stroke", { points: [from, this.pointer].map(this.pixel), erase: this.tool === "eraser" });
      this.draw();
    },
    use() {
      if (this.draws()) this.$emit("stroke", { points: [this.pixel(this.cursor())], erase: this.tool === "eraser" });
      else this.mark(this.cursor());
      this.draw();
    },
    draws() {
      return this.tool === "brush" || this.tool === "eraser";
    },
    draw() {
      if (this.waiting) return;
      this.waiting = requestAnimationFrame(() => { this.waiting = null; this.paint(); });
    },
    paint() {
      const frame = this.$refs.frame, canvas = this.$refs.canvas;
      if (!frame || !canvas) return;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = frame.clientWidth * ratio;
      canvas.height = frame.clientHeight * ratio;
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      const [sx, sy] = this.aspect();
      const box = [this.left, this.top, this.width * sx * this.scale, this.height * sy * this.scale];
      let shown = 0;
      for (const layer of this.layers) {
        const picture = this.pictures.get(layer.url);
        if (!picture) continue;
        pen.globalAlpha = layer.opacity;
        pen.imageSmoothingEnabled = !!layer.smooth && this.scale < 3;
        pen.drawImage(picture, ...box);
        shown += 1;
      }
      this.shown = shown;
      frame.dataset.shown = `${shown}/${this.layers.length}`;
      pen.globalAlpha = 1;
      this.paintTools(pen, sx, sy);
    },
    paintTools(pen, sx, sy) {
      const radius = this.radius * this.scale;
      if (this.stroke) {
        pen.strokeStyle = this.tool === "eraser" ? "rgba(255,255,255,0.6)" : this.colour;
        pen.lineWidth = 2 * radius;
        pen.lineCap = pen.lineJoin = "round";
        pen.globalAlpha = 0.5;
        pen.beginPath();
        this.stroke.forEach(([x, y], n) => {
          const at = [this.left + x * sx * this.scale, this.top + y * sy * this.scale];
          if (n) pen.lineTo(...at);
          else { pen.moveTo(...at); pen.lineTo(at[0] + 0.01, at[1]); }
        });
        pen.stroke();
        pen.globalAlpha = 1;
      }
      const circle = this.pointer && this.draws(), cross = this.pointer && this.steered && this.tool !== "move";
      for (const [style, width] of [["#000", 3], ["#fff", 1]]) {
        pen.strokeStyle = style;
        pen.lineWidth = width;
        pen.beginPath();
        if (circle) pen.arc(...this.pointer, radius, 0, 7);
        if (cross) {
          const [x, y] = this.pointer;
          for (const [dx, dy] of [[7, 0], [0, 7]]) { pen.moveTo(x - dx, y - dy); pen.lineTo(x + dx, y + dy); }
        }
        pen.stroke();
      }
      for (const mark of this.marks) {
        pen.beginPath();
        pen.arc(this.left + mark.x * sx * this.scale, this.top + mark.y * sy * this.scale, 5, 0, 7);
        pen.fillStyle = mark.inside ? "#1a7f37" : "#b42318";
        pen.fill();
        pen.strokeStyle = "#fff";
        pen.lineWidth = 2;
        pen.stroke();
      }
    },
  },
};
