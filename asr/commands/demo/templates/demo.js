// Takes a recording, sends it, shows what comes back. What models write is set as text, or comes escaped.
import { startRecording } from "./recording.js";

const PATIENCE_MS = 250; // after the last key, before texts are compared with what was said
const MAX_BYTES = Number(document.body.dataset.maxBytes);
const [record, time, file, player] = ["record", "time", "file", "player"].map((id) => document.getElementById(id));
const [status, cancel, error] = ["status", "cancel", "error"].map((id) => document.getElementById(id));
const [heard, reference] = ["heard", "reference"].map((id) => document.getElementById(id));
let stopRecording = null; // a function, while it records
let ticking = 0; // timer of the recording's clock
let work = null; // an AbortController, of the recording that is being transcribed or was last
let texts = null; // what both models heard, once they have
let waiting = 0; // timer of a reference that is being typed

function say(message, problem = "") {
  status.textContent = message;
  error.textContent = problem;
}

// Recording, and choosing a file

record.addEventListener("click", async () => {
  if (stopRecording) return stopRecording();
  forget();
  player.pause(); // or it would be recorded
  file.value = ""; // so that the same one can be chosen again
  record.disabled = true; // until the user has answered the browser
  try {
    stopRecording = await startRecording(recorded);
    const started = performance.now();
    const show = () => { time.textContent = clock((performance.now() - started) / 1000); };
    ticking = setInterval(show, 200);
    show();
    setRecording(true);
    say("Recording.");
  } catch (problem) {
    say("", problem.message);
  }
  record.disabled = false;
  record.focus();
});

function recorded(recording) {
  clearInterval(ticking);
  stopRecording = null;
  setRecording(false);
  if (recording.size) take(recording);
  else say("", "Nothing was recorded.");
}

function setRecording(is) {
  record.classList.toggle("recording", is);
  record.firstElementChild.textContent = is ? "Stop" : "Record";
  time.hidden = !is;
}

file.addEventListener("change", () => {
  if (file.files.length) take(file.files[0]);
});

cancel.addEventListener("click", () => {
  forget();
  say("Cancelled.");
});

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function spoken(seconds) {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`;
}

// Transcribing

// Ends what is at work, and clears the page of it.
function forget() {
  work?.abort();
  texts = null;
  for (const part of heard.querySelectorAll(".text, .took")) part.replaceChildren();
  showLegend("");
  setBusy(false);
  say("");
}

async function take(recording) {
  forget();
  const mine = (work = new AbortController());
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(recording);
  player.hidden = false;
  setBusy(true);
  say("Both models are listening …");
  try {
    const found = await transcribe(recording, mine.signal);
    if (mine.signal.aborted) return;
    texts = found;
    await compare();
  } catch (problem) {
    if (!mine.signal.aborted) say("", problem.message);
  } finally {
    if (!mine.signal.aborted) setBusy(false);
  }
}

// Returns the text of each model.
async function transcribe(recording, signal) {
  const response = await ask("transcribe", recording, signal);
  if (!response.ok) throw new Error(await response.text());
  const found = {};
  for await (const state of lines(response.body)) {
    if (signal.aborted) break;
    found[state.model] = state.text;
    showProgress(state);
  }
  return found;
}

async function ask(what, body, signal) {
  if (body.size > MAX_BYTES) {
    throw new Error(`More than ${MAX_BYTES / 2 ** 20} MB are too much for this page: asr transcribe takes them.`);
  }
  try {
    return await fetch(what, { method: "POST", body, signal });
  } catch (problem) {
    throw signal?.aborted ? problem : new Error("The demo does not answer: is it still running in its terminal?");
  }
}

// Yields the objects of a stream of JSON, one a line.
async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new Error("The demo broke off: its terminal says why.");
    });
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

function showProgress({ model, text, heard_s, of_s, took_s, warning }) {
  const card = document.getElementById(model);
  const paragraph = document.createElement("p");
  paragraph.dir = "auto";
  paragraph.textContent = text;
  card.querySelector(".text").replaceChildren(paragraph);
  const bar = card.querySelector("progress");
  bar.value = heard_s / of_s;
  bar.hidden = heard_s === of_s;
  const soFar = heard_s === of_s ? "" : `${spoken(heard_s)} of `;
  const odd = warning && `. Warning: ${warning}`;
  card.querySelector(".took").textContent = `${soFar}${spoken(of_s)} heard in ${spoken(took_s)}${odd}`;
}

function setBusy(busy) {
  heard.ariaBusy = String(busy);
  cancel.hidden = !busy;
  for (const bar of heard.querySelectorAll("progress")) {
    bar.hidden = !busy;
    bar.removeAttribute("value"); // a bar without one moves
  }
}

// Comparing

async function compare() {
  const compared = texts;
  const response = await ask("compare", new Blob([JSON.stringify({ ...texts, reference: reference.value })]));
  if (!response.ok) throw new Error(await response.text());
  const found = await response.json();
  if (compared !== texts) return; // of an older recording
  for (const [model, html] of Object.entries(found.texts)) {
    document.getElementById(model).querySelector(".text").innerHTML = html;
  }
  showLegend(found.legend);
  say(found.summary);
}

function showLegend(wanted) {
  for (const legend of document.querySelectorAll(".legend")) legend.hidden = legend.id !== wanted;
}

reference.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (texts) compare().catch((problem) => say("", problem.message));
  }, PATIENCE_MS);
});
