// The microphone, and what the browser can decode, as 16 kHz mono WAV.
const RATE = 16000; // Hz, what the models hear
const HEADER = 44; // bytes of a WAV before its samples
const PROBLEMS = {
  NotAllowedError: "The microphone is not allowed here: allow it beside the page's address, and in the system's settings.",
  NotFoundError: "No microphone was found: plug one in, or choose a file.",
  NotReadableError: "The microphone is in use by another program, or out of order.",
};

// Records until the returned function is called; then, or when the microphone goes, `done` gets a WAV, or null if
// nothing was recorded.
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
    asWav(new Blob(parts)).then(done, () => done(null));
  });
  recorder.start();
  return () => {
    if (recorder.state === "recording") recorder.stop();
  };
}

// Decodes what the browser can play, webm and m4a among it; rejects what it cannot.
export async function asWav(recording) {
  // A context's decoder resamples to the rate of the context.
  const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await recording.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, number) => sound.getChannelData(number));
  const view = new DataView(new ArrayBuffer(HEADER + 2 * sound.length));
  const letters = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  letters(0, "RIFF");
  view.setUint32(4, HEADER - 8 + 2 * sound.length, true);
  letters(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this part
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a sample
  view.setUint16(34, 16, true); // bits a sample
  letters(36, "data");
  view.setUint32(40, 2 * sound.length, true);
  for (let i = 0; i < sound.length; i++) {
    const mean = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    view.setInt16(HEADER + 2 * i, Math.max(-1, Math.min(1, mean)) * 32767, true);
  }
  return new Blob([view], { type: "audio/wav" });
}
