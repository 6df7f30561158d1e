// Files from a drop or a chooser, folders included, as [{file, path}].

/** Everything dropped, folders walked through; `path` is set for what lay in a folder. */
export async function droppedFiles(transfer) {
  // Entries must be taken before the first await: the drop's data is gone afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: "" }));
  const found = [];
  for (const entry of entries) await walk(entry, found, "");
  return found;
}

export function chosenFiles(input) {
  return [...input.files].map((file) => ({ file, path: file.webkitRelativePath || "" }));
}

async function walk(entry, found, folder) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
    if (file) found.push({ file, path: folder ? folder + file.name : "" });
    return;
  }
  const reader = entry.createReader();
  // readEntries gives at most a hundred at a time and an empty list at the end.
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!batch.length) return;
    for (const child of batch) await walk(child, found, folder + entry.name + "/");
  }
}

/** Of what lay in folders only the types that can be read; {wanted, left: how many were left out}.
    What was chosen by itself stays, so that its row says why it cannot be read. */
export function sift(files, suffixes) {
  const wanted = files
    .filter(({ file, path }) => !path || readable(file.name, suffixes))
    .map((one) => ({ ...one, unreadable: !readable(one.file.name, suffixes) }));
  return { wanted, left: files.length - wanted.length };
}

function readable(name, suffixes) {
  const lower = name.toLowerCase();
  return !lower.startsWith(".") && !lower.startsWith("~$") && suffixes.some((suffix) => lower.endsWith(suffix));
}
