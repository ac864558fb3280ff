"use strict";
// Shows the progress of a recording or a training; its page is loaded again when it has ended.
(() => {
  const section = document.getElementById("work");
  const part = (name) => section.querySelector(`[data-work="${name}"]`);
  const setText = (name, text) => {
    const element = part(name);
    if (element && element.textContent !== text) element.textContent = text;
  };
  const show = (work) => {
    setText("progress", work.progress);
    const sound = work.sound;
    if (!sound && work.share !== null) part("share").value = work.share;
    if (!sound) return;
    part("share").value = sound.share;
    part("level").value = sound.level;
    setText("rms", sound.rms_dbfs === null ? "" : `${sound.rms_dbfs.toFixed(0).replace("-", "−")} dBFS${sound.clipped ? ", clipping" : ""}`);
    setText("coverage", sound.coverage);
    setText("lacks", sound.lacks || "");
    part("lacks").hidden = !sound.lacks;
  };
  const ask = async () => {
    const answer = await fetch("/recordings/work", { cache: "no-store" }).catch(() => null);
    if (answer && answer.status === 401) return location.reload(); // the session has ended
    const work = answer && answer.ok ? await answer.json().catch(() => null) : null;
    if (work && (!work.running || Date.parse(work.begun) - Date.parse(section.dataset.begun) > 1000)) return location.reload();
    if (work) show(work);
    setTimeout(ask, 1000);
  };
  setTimeout(ask, 500);
})();
