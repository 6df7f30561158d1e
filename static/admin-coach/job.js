// Jobs of a worker: their progress, then the page anew.

const place = document.querySelector("[data-jobs]");
const rows = new Map([...place.querySelectorAll("[data-job]")].map((row) => [row.dataset.job, row]));

function show(row, job) {
  const bar = row.querySelector("progress");
  if (job.total) {
    bar.max = job.total;
    bar.value = job.done;
    row.querySelector("[data-counts]").hidden = false;
  }
  for (const name of ["label", "done", "total", "found", "refused"]) {
    const element = row.querySelector(`[data-${name}]`);
    if (element) element.textContent = job[name];
  }
}

async function poll() {
  try {
    const response = await fetch(place.dataset.jobs, { headers: { Accept: "application/json" } });
    if (response.ok) {
      const { jobs } = await response.json();
      const running = jobs.filter((job) => !job.over);
      if (running.length !== rows.size || running.some((job) => !rows.has(job.id))) {
        location.reload();
        return;
      }
      for (const job of running) show(rows.get(job.id), job);
    }
  } catch {
    // The next look may find the server again.
  }
  setTimeout(poll, document.hidden ? 5000 : 1200);
}

setTimeout(poll, 800);
