"""How the files of recordings are called. What is in them decides how they are decoded."""

import soundfile

# Without .raw: such a file does not state its sample rate, and may be a camera's photograph.
SUFFIXES = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
SUFFIXES |= {".opus", ".oga", ".aif", ".aifc", ".snd", ".sph", ".mp2", ".mpga"}
SUFFIXES |= {  # of phones, cameras and browsers: asr/audio/ffmpeg.py
    ".3ga", ".3gp", ".3gpp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dss", ".m4a", ".m4b", ".m4v", ".mka",
    ".mkv", ".mov", ".mp4", ".mpg", ".webm", ".wma", ".wmv", ".wv",
}  # fmt: skip
