// Keys of the calendar: arrows go from job to job (up and down by a week), Page Up and Page Down change the month.

const table = document.querySelector("[data-calendar]");
const cells = [...table.querySelectorAll("td")];

function jobsOf(cell) {
  return [...cell.querySelectorAll(".ac-entry")].filter((one) => one.offsetParent !== null);
}

function near(from, step) {
  for (let number = cells.indexOf(from) + step; number >= 0 && number < cells.length; number += step) {
    const jobs = jobsOf(cells[number]);
    if (jobs.length) return step > 0 ? jobs[0] : jobs.at(-1);
  }
  return null;
}

function target(key, job) {
  const cell = job.closest("td");
  const jobs = jobsOf(cell);
  const place = jobs.indexOf(job);
  if (key === "ArrowRight") return near(cell, 1);
  if (key === "ArrowLeft") return near(cell, -1);
  if (key === "ArrowDown") return jobs[place + 1] ?? near(cell, 7);
  if (key === "ArrowUp") return jobs[place - 1] ?? near(cell, -7);
  return null;
}

table.addEventListener("keydown", (event) => {
  const job = event.target.closest(".ac-entry");
  const next = job && target(event.key, job);
  if (!next) return;
  event.preventDefault();
  next.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
  document.querySelector(`[data-page="${event.key}"]`)?.click();
});
