// The microphone, in the format in which the browser records.
const PROBLEMS = {
  NotAllowedError: "The microphone is not allowed here: allow it beside the page's address, and in the system's settings.",
  NotFoundError: "No microphone was found: plug one in, or choose a file.",
  NotReadableError: "The microphone is in use by another program, or out of order.",
};

// Records until the returned function is called; then, or when the microphone goes, `done` gets the recording, which
// is empty if nothing was recorded.
export async function startRecording(done) {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers lend the microphone to http://localhost and http://127.0.0.1 only: open the page there.");
  }
  // As it sounds: these are made for calls, and change what a model hears.
  const sound = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: sound }).catch((problem) => {
    throw new Error(PROBLEMS[problem.name] ?? `The microphone cannot be used: ${problem.message}`);
  });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    done(new Blob(parts, { type: recorder.mimeType }));
  });
  recorder.start();
  return () => {
    if (recorder.state === "recording") recorder.stop();
  };
}
