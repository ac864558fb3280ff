"use strict";
// Draws the spectrogram and the alarm scores of one machine as they arrive.
(() => {
  const LOWEST_DBFS = -110, STEP_DB = 0.5, BANDS = 64, COLUMNS = 469; // a minute
  const SHOWN_MS = 300000;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const spectrogram = document.getElementById("spectrogram");
  const scores = document.getElementById("scores");
  const key = document.getElementById("score-key");
  const columns = []; // of bytes, the newest last; null: a gap
  let windows = [];
  let lastSound = 0;
  let soundAt = Date.now(), scoresAt = soundAt; // when they arrived
  let ages = {}; // of what is sent at the begin
  const noSound = document.getElementById("no-sound"), noScores = document.getElementById("no-scores");
  const SILENT_MS = 10000, NO_SCORES_MS = 30000;

  // perceptually even, readable by the colour-blind: knots of the map "viridis"
  const KNOTS = [[13, 16, 23], [40, 28, 82], [53, 62, 122], [40, 96, 131], [31, 130, 132], [53, 165, 112], [128, 198, 70], [240, 226, 52]];
  const MAP = Array.from({ length: 256 }, (_, at) => {
    const x = at / 255 * (KNOTS.length - 1), low = Math.min(KNOTS.length - 2, Math.floor(x)), part = x - low;
    return KNOTS[low].map((value, channel) => Math.round(value + (KNOTS[low + 1][channel] - value) * part));
  });

  const decode = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const range = () => { // levels of what is shown, so that a quiet machine is not black
    const counts = new Uint32Array(256);
    let total = 0;
    for (const column of columns) if (column) for (const value of column) { counts[value] += 1; total += 1; }
    const at = (share) => { let sum = 0; for (let value = 0; value < 256; value++) { sum += counts[value]; if (sum >= share * total) return value; } return 255; };
    const low = at(0.03), high = at(0.998);
    return [low, Math.max(high, low + 50)];
  };
  const drawSpectrogram = () => {
    spectrogram.width = COLUMNS;
    spectrogram.height = BANDS;
    const context = spectrogram.getContext("2d"), image = context.createImageData(COLUMNS, BANDS), [low, high] = range();
    columns.forEach((column, number) => {
      if (!column) return;
      const x = COLUMNS - columns.length + number;
      for (let band = 0; band < BANDS; band++) {
        const level = Math.max(0, Math.min(255, Math.round((column[band] - low) / (high - low) * 255)));
        image.data.set([...MAP[level], 255], ((BANDS - 1 - band) * COLUMNS + x) * 4);
      }
    });
    context.putImageData(image, 0, 0);
  };
  const takeSounds = (sounds) => {
    if (sounds.length && Date.parse(sounds[0].time) <= lastSound) { // sent again, or the clock was set back
      columns.length = 0;
      lastSound = 0;
    }
    for (const sound of sounds) {
      const time = Date.parse(sound.time), bytes = decode(sound.columns), count = bytes.length / BANDS;
      const missing = Math.round((time - lastSound) / (sound.column_s * 1000)) - count;
      if (lastSound && missing > 4) for (let at = 0; at < Math.min(missing, COLUMNS); at++) columns.push(null);
      for (let at = 0; at < count; at++) columns.push(bytes.subarray(at * BANDS, (at + 1) * BANDS));
      lastSound = time;
    }
    columns.splice(0, Math.max(0, columns.length - COLUMNS));
    if (sounds.length) {
      document.getElementById("spectrogram-top").textContent = `${sounds[sounds.length - 1].highest_hz / 1000} kHz`;
      drawSpectrogram();
      soundAt = arrived("sound_s");
      noSound.hidden = true;
      noteSilence();
    }
  };
  const arrived = (what) => {
    const at = Date.now() - (ages[what] || 0) * 1000;
    delete ages[what];
    return at;
  };
  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat([], { month: "short", day: "numeric" });
  const note = (element, words, at, most) => {
    const age = Date.now() - at;
    if (age < most) return;
    element.textContent = `${words} since ${age < 43200000 ? "" : `${day.format(at)} `}${clock.format(at)}.`;
    element.hidden = false;
  };
  const noteSilence = () => { // a picture that stands still must not look live
    if (columns.length) note(noSound, "No sound has arrived", soundAt, SILENT_MS);
    if (windows.length) note(noScores, "No scores", scoresAt, NO_SCORES_MS);
  };
  setInterval(noteSilence, 1000);

  const period = (seconds) => (seconds >= 86400 ? `${seconds / 86400} day` : seconds >= 3600 ? `${seconds / 3600} h` : seconds >= 60 ? `${seconds / 60} min` : `${seconds} s`);
  const SCALES_LIGHT = ["#1f6fc0", "#17805a", "#8a4fb8", "#a8641a", "#a83e5c"], SCALES_DARK = ["#6db0f2", "#5cc79c", "#c79ae8", "#e0a45c", "#e88ba2"];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawScores = () => {
    if (!windows.length) return;
    const ratio = window.devicePixelRatio || 1, wide = scores.clientWidth, high = scores.clientHeight;
    scores.width = wide * ratio;
    scores.height = high * ratio;
    const context = scores.getContext("2d");
    context.scale(ratio, ratio);
    const newest = windows[windows.length - 1], end = Date.parse(newest.time), { warning, alarm } = newest.thresholds;
    const top = Math.max(alarm * 1.25, ...windows.map((each) => each.alarm_score || 0)) * 1.05;
    const left = wide < 480 ? 30 : 44, bottom = high - 20, width = wide - left - 1;
    const x = (iso) => left + width * (1 - (end - Date.parse(iso)) / SHOWN_MS), y = (value) => bottom - value / top * (bottom - 8);
    context.font = "11.5px system-ui, sans-serif";
    context.fillStyle = css("--soft");
    context.strokeStyle = css("--line");
    context.lineWidth = 1;
    const line = (x0, y0, x1, y1) => { context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke(); };
    const step = top <= 8 ? 1 : top <= 16 ? 2 : 5;
    context.textAlign = "right";
    for (let value = 0; value <= top; value += step) {
      line(left, y(value), wide, y(value));
      context.fillText(String(value), left - 7, y(value) + 4);
    }
    context.textAlign = "center";
    for (let minutes = 1; minutes < 5; minutes++) {
      const at = left + width * (1 - minutes / 5);
      line(at, 0, at, bottom);
      context.fillText(`−${minutes} min`, at, high - 5);
    }
    context.strokeRect(left + 0.5, 0.5, width, bottom);
    const limit = (value, colour, name, dash) => {
      context.strokeStyle = context.fillStyle = css(colour);
      context.setLineDash(dash);
      line(left, y(value), wide, y(value));
      context.setLineDash([]);
      context.textAlign = "left";
      context.fillText(`${name} ${value.toFixed(1)}`, left + 6, y(value) - 4);
    };
    limit(warning, "--warn", "warning", [5, 4]);
    limit(alarm, "--alarm", "alarm", []);
    const scales = [...new Set(windows.flatMap((each) => Object.keys(each.scales)))].sort((a, b) => a - b);
    const colours = dark.matches ? SCALES_DARK : SCALES_LIGHT;
    const trace = (read, colour, wideLine) => {
      context.strokeStyle = colour;
      context.lineWidth = wideLine;
      context.beginPath();
      let before = null;
      for (const each of windows) {
        const value = read(each);
        const time = Date.parse(each.time);
        if (value === undefined || value === null) { before = null; continue; }
        if (before !== null && time - before < 5000) context.lineTo(x(each.time), y(value)); else context.moveTo(x(each.time), y(value));
        before = time;
      }
      context.stroke();
    };
    scales.forEach((scale, at) => trace((each) => each.scales[scale], colours[at % 5], 1.3));
    trace((each) => each.alarm_score, css("--ink"), 1.8);
    const named = [["alarm score", css("--ink")], ...scales.map((scale, at) => [period(Number(scale)), colours[at % 5]])];
    if (key.childElementCount !== named.length || key.dataset.dark !== String(dark.matches)) {
      key.dataset.dark = dark.matches;
      key.replaceChildren(...named.map(([name, colour]) => {
        const entry = document.createElement("span"), line = document.createElement("i");
        line.style.borderColor = colour;
        entry.append(line, name);
        return entry;
      }));
    }
  };

  document.addEventListener("asd-ages", (event) => { ages = event.detail; });
  document.addEventListener("asd-sounds", (event) => takeSounds(event.detail));
  document.addEventListener("asd-windows", (event) => {
    if (!event.detail.length) return;
    const first = Date.parse(event.detail[0].time); // others are sent again, or the clock was set back
    windows = windows.filter((each) => Date.parse(each.time) < first).concat(event.detail);
    const oldest = windows.length ? Date.parse(windows[windows.length - 1].time) - SHOWN_MS : 0;
    windows = windows.filter((each) => Date.parse(each.time) > oldest);
    scoresAt = arrived("window_s");
    noScores.hidden = true;
    noteSilence();
    drawScores();
  });
  addEventListener("resize", drawScores);
  dark.addEventListener("change", drawScores);
})();
