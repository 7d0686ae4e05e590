// What was found as files. JSON is made here; brat and FHIR are written by the server, which keeps nothing of them.

import { send } from "./api.js";
import { saveFile } from "./dom.js";

const STEM = /[^\p{L}\p{N}._-]+/gu;

/** Save the findings as the server gave them, with the note. */
export function saveJson(note, name, results) {
  const whole = { id: name, text: note, unit: "code points", tasks: results };
  saveFile(`${stem(name)}.json`, JSON.stringify(whole, null, 1), "application/json");
}

/** Have the server write another format (`brat`: a zip of .txt and .ann; `fhir`: a Bundle) and save it. */
export async function saveAs(format, note, name, results) {
  const response = await send("v1/export", { method: "POST", body: { format, id: stem(name), note, tasks: results } });
  const ending = { brat: "zip", fhir: "fhir.json" }[format];
  saveFile(`${stem(name)}.${ending}`, await response.blob(), response.headers.get("Content-Type"));
  return response.headers.get("X-Left-Out") ?? "";
}

function stem(name) {
  return name.replace(STEM, "-").replace(/^[.-]+/, "").slice(0, 80) || "note";
}
