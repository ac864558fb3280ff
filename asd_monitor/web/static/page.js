"use strict";
// Keeps a page up to date by server-sent events; without it every page shows what it showed when loaded.
(() => {
  const body = document.body;
  const lost = document.getElementById("connection"), aged = document.getElementById("aged");
  const PATIENCE_MS = 15000, AGED_MS = 60000;
  let offset = Date.parse(body.dataset.now) - Date.now(); // of the clock of the box
  const loaded = Date.now();
  let heard = lost && !lost.hidden ? 0 : loaded; // 0: the page says already that nothing is sent
  const now = () => Date.now() + offset;

  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat([], { year: "numeric", month: "short", day: "numeric" });
  const ago = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 120) return `${s} s ago`;
    if (s < 7200) return `${Math.round(s / 60)} min ago`;
    if (s < 172800) return `${Math.round(s / 3600)} h ago`;
    return `${Math.round(s / 86400)} days ago`;
  };
  const full = (time, at) => (Math.abs(at - time) < 43200000 ? clock.format(time) : `${day.format(time)} ${clock.format(time)}`);
  const showTime = (element) => {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) return;
    const text = element.dataset.form === "ago" ? ago(now() - time) : full(time, now());
    if (element.textContent !== text) element.textContent = text;
    element.title = `${element.dateTime} (UTC)`;
  };
  const showTimes = (within) => within.querySelectorAll("time[datetime]").forEach(showTime);
  showTimes(document);
  const minute = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hour12: false });
  const shortDay = new Intl.DateTimeFormat([], { month: "short", day: "numeric" });
  for (const axis of document.querySelectorAll(".in-zone")) { // its ticks move to round times of this zone
    const step = Math.min(axis.dataset.stepS, 86400) * 1000, zone = -new Date().getTimezoneOffset() * 60000;
    const late = zone - Math.round(zone / step) * step;
    axis.setAttribute("x", `${-late / (axis.dataset.spanS * 10)}%`);
    for (const tick of axis.querySelectorAll("text")) {
      const at = Date.parse(tick.dataset.time) - late; // a day begins an hour earlier or later where the zone has another offset
      tick.textContent = step < 86400000 ? minute.format(at) : shortDay.format(at + 3600000);
    }
  }
  setInterval(() => showTimes(document), 1000);

  const time = (iso, form) => {
    if (!iso) return document.createTextNode("–");
    const element = document.createElement("time");
    element.dateTime = iso;
    element.dataset.form = form;
    showTime(element);
    return element;
  };
  const field = (within, name) => within.querySelector(`[data-field="${name}"]`);
  const setText = (within, name, text) => {
    const element = field(within, name);
    if (element && element.textContent !== text) element.textContent = text;
  };
  const setTime = (within, name, iso) => {
    const element = field(within, name);
    const shown = element && element.querySelector("time");
    if (!element || (shown && shown.dateTime === iso)) return;
    if (shown && iso) { shown.dateTime = iso; showTime(shown); } else element.replaceChildren(time(iso, "ago"));
  };
  const TIME = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)/;
  const setWithTimes = (within, name, text) => {
    const element = field(within, name);
    if (element.dataset.text === text) return;
    element.dataset.text = text;
    element.replaceChildren(...text.split(TIME).map((part, at) => (at % 2 ? time(part, "full") : part)));
  };
  const setOk = (within, name, text, ok) => {
    setText(within, name, text);
    const element = field(within, name);
    if (element) element.dataset.ok = ok ? "yes" : "no";
  };
  const number = (value, unit = "") => (value === null ? "–" : value.toFixed(1).replace("-", "−") + unit);

  const showMachine = (machine) => {
    const card = document.querySelector(`[data-machine="${CSS.escape(machine.id)}"]`);
    if (!card) return;
    if (card.dataset.state !== machine.state) {
      card.dataset.state = machine.state;
      card.querySelector(".icon use").setAttribute("href", `#i-${machine.state}`);
    }
    setText(card, "word", machine.word);
    const reason = field(card, "reason");
    reason.hidden = !machine.reason || (machine.alarm !== null && machine.monitored && !card.classList.contains("one"));
    setWithTimes(card, "reason", machine.reason || "");
    const alarm = field(card, "alarm");
    alarm.hidden = machine.alarm === null;
    if (machine.alarm) {
      alarm.dataset.kind = machine.alarm.kind;
      alarm.href = `/alarms/${encodeURIComponent(machine.alarm.id)}`;
      setText(card, "alarm-words", machine.alarm.words);
      setWithTimes(card, "alarm-until", machine.alarm.until ? ` until ${machine.alarm.until}` : "");
      setText(card, "alarm-reason", machine.alarm.reason);
    }
    setText(card, "alarm-score", number(machine.alarm_score));
    setText(card, "threshold", machine.threshold === null ? "" : ` of ${machine.threshold.toFixed(1)}`);
    setText(card, "score", number(machine.score));
    setText(card, "level", number(machine.rms_dbfs, " dBFS"));
    setTime(card, "last", machine.last);
    setTime(card, "since", machine.since);
    setOk(card, "microphone", machine.microphone, machine.microphone_ok);
    const model = field(card, "model");
    const text = (machine.model || "none") + (machine.provisional ? " provisional" : "");
    if (model && model.textContent.trim() !== text) {
      const note = document.createElement("small");
      note.textContent = machine.provisional ? " provisional" : "";
      model.replaceChildren(machine.model || "none", note);
    }
  };

  const showSpark = ([machine, spark]) => {
    const drawn = document.querySelector(`[data-machine="${CSS.escape(machine)}"] .spark`);
    if (!drawn) return;
    drawn.classList.toggle("none", !spark.path);
    drawn.setAttribute("aria-label", `Alarm score of the last six hours: ${spark.words}`);
    drawn.querySelector(".fill").setAttribute("d", spark.area);
    drawn.querySelector(".limit").setAttribute("d", spark.threshold_y === null ? "" : `M0 ${spark.threshold_y.toFixed(1)}H216`);
    drawn.querySelector(".trace").setAttribute("d", spark.path);
  };

  const showBox = (box) => {
    const cards = [...document.querySelectorAll(".machines > [data-machine]")].map((card) => card.dataset.machine);
    if (box.machines.length && document.querySelector(".machines") && cards.sort().join() !== [...box.machines].sort().join()) location.reload();
    setOk(document, "disk", box.disk_free || "–", !box.conditions.some((each) => each.kind === "disk"));
    setOk(document, "broker", box.broker ? "connected" : "not connected", box.broker);
    setOk(document, "self-test", box.self_test, !["failed", "overdue"].includes(box.self_test));
    setText(document, "load", box.load === null ? "–" : box.load.toFixed(2));
    const counts = field(document, "counts");
    if (counts) {
      counts.replaceChildren(...Object.entries(box.counts).map(([word, count]) => {
        const element = document.createElement("span");
        element.textContent = `${count} ${word.toLowerCase()}`;
        return element;
      }));
    }
    const conditions = field(document, "conditions");
    if (conditions) {
      conditions.hidden = !box.conditions.length;
      conditions.querySelector("ul").replaceChildren(...box.conditions.map((each) => {
        const item = document.createElement("li"), text = document.createElement("b"), remedy = document.createElement("span");
        text.textContent = each.text;
        remedy.textContent = each.remedy || "";
        item.append(text, remedy);
        return item;
      }));
    }
  };

  for (const zone of document.querySelectorAll(".zone")) zone.hidden = true;
  const period = document.getElementById("shelve-hours"), until = document.getElementById("shelve-until");
  if (period && until) {
    const label = document.querySelector('label[for="shelve-until"]');
    const show = () => { until.hidden = label.hidden = period.value !== "until"; until.required = !until.hidden; };
    period.addEventListener("change", show);
    period.form.addEventListener("submit", () => { // the time is written in the zone of the browser
      const offset = new Date(until.value || Date.now()).getTimezoneOffset();
      period.form.elements.utc_offset_min.value = Number.isNaN(offset) ? 0 : -offset;
    });
    show();
  }

  const showConnection = () => {
    const silent = Date.now() - heard;
    const isLost = silent > 5000;
    const text = `Not connected: no data since ${full(heard, Date.now())}. The values are not live.`;
    if (isLost && heard && lost.textContent !== text) lost.textContent = text;
    lost.hidden = !isLost;
    if (isLost) body.dataset.connection = "lost"; else delete body.dataset.connection;
  };

  if (body.dataset.stream && "EventSource" in window) {
    let source = null, tried = 0;
    const again = async () => {
      tried = Date.now();
      const answer = await fetch(location.href, { method: "HEAD", signal: AbortSignal.timeout(10000) }).catch(() => null);
      if (answer && answer.status === 401) location.reload(); // the session has ended
      else connect();
    };
    const connect = () => {
      if (source) source.close();
      tried = Date.now();
      source = new EventSource(body.dataset.stream);
      const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
      on("machines", (machines) => machines.forEach(showMachine));
      on("box", showBox);
      on("beat", (beat) => {
        heard = Date.now();
        offset = Date.parse(beat.time) - heard;
        setOk(document, "broker", beat.broker ? "connected" : "not connected", beat.broker);
        showConnection();
      });
      on("sparks", (sparks) => Object.entries(sparks).forEach(showSpark));
      for (const name of ["ages", "windows", "sounds"]) {
        on(name, (content) => document.dispatchEvent(new CustomEvent(`asd-${name}`, { detail: content })));
      }
      // a browser gives up at an answer that is no stream, as of a proxy whose server restarts
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(again, 3000); };
    };
    connect();
    const look = () => {
      showConnection();
      // a phone that slept or has another network can hold a connection that nobody answers
      if (Date.now() - heard > PATIENCE_MS && Date.now() - tried > PATIENCE_MS) again();
    };
    setInterval(look, 1000);
    document.addEventListener("visibilitychange", look);
  } else if (aged) {
    const show = () => { aged.hidden = Date.now() - loaded < AGED_MS; };
    setInterval(show, 1000);
    document.addEventListener("visibilitychange", show);
  }
})();
