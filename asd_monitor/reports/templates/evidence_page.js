"use strict";
const audio = document.querySelector("#sound");
const areas = document.querySelectorAll("[data-seconds]");
if (audio && areas.length) {
  const cursors = [...areas].map((area) => {
    const cursor = document.createElement("span");
    cursor.className = "cursor";
    area.append(cursor);
    area.addEventListener("click", (event) => {
      const box = area.getBoundingClientRect();
      audio.currentTime = (event.clientX - box.left) / box.width * Number(area.dataset.seconds);
      audio.play();
    });
    return { cursor, seconds: Number(area.dataset.seconds) };
  });
  const follow = () => {
    for (const { cursor, seconds } of cursors) {
      cursor.style.left = `${Math.min(100, audio.currentTime / seconds * 100)}%`;
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const name of ["play", "seeked", "timeupdate"]) audio.addEventListener(name, follow);
  for (const button of document.querySelectorAll("button[data-from]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      audio.currentTime = Number(button.dataset.from);
      audio.play();
    });
  }
}
