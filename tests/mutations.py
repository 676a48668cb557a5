"""Faults that the tests have to see: each is made in a copy of the tree, and tests that are named run there.

    python -m tests.mutations                     all of them
    python -m tests.mutations --only selection    those with this word in their file or in their fault

Prints a Markdown table; exit code 1 if a fault is not caught. Not part of `make test`: docs/mutations.md has
the last result.
"""

import argparse
import importlib
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.recipes import REPOSITORY
from tests.repositories import copy_all

# Loaded once: what tests import takes longer than most of them.
PACKAGES = ("torch", "datasets", "evaluate", "jiwer", "peft", "soundfile", "transformers.trainer_seq2seq")
LIMIT_S = 900  # what takes longer hangs, and is caught
HANGS = "time limit"
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/[\w/]+\.py::\w+)", re.MULTILINE)

# The fault, its file, the text that is there just once, what replaces it, the files of tests to run.
MUTATIONS = [
    ("a quiet clip is padded with less than Whisper's floor", "asr/audio/log_mel.py",
     "max(float(features.max()) - FEATURE_RANGE, FEATURE_FLOOR)", "float(features.max()) - FEATURE_RANGE",
     "tests/test_audio.py"),
    ("the frame at a clip's end is cut off", "asr/audio/log_mel.py",
     "(n_samples + N_FFT // 2)", "(n_samples + N_FFT // 2 - HOP_LENGTH)", "tests/test_audio.py"),
    ("a clip that is cut off passes for whole", "asr/audio/damage.py",
     "declared - decoded > SLACK_S", "decoded - declared > SLACK_S", "tests/test_damage.py"),
    ("a film that ends in silence passes for cut off", "asr/audio/ffmpeg.py",
     "if packet.pts is not None:", "if packet.pts is not None and packet.stream is self._stream:",
     "tests/test_ffmpeg.py"),
    ("a browser's recording that is cut off passes for whole", "asr/audio/ffmpeg.py",
     "end + BLOCK_HEADER", "end", "tests/test_ffmpeg.py"),
    ("a playlist opens other files", "asr/audio/ffmpeg.py",
     'options={"format_whitelist": FORMATS}', "options={}", "tests/test_ffmpeg.py"),
    ("an mp4 without its index passes for no audio", "asr/audio/damage.py",
     "if at >= size:\n            return True", "if at >= size:\n            return False",
     "tests/test_ffmpeg.py"),
    ("a table that is half Windows-1252, half UTF-8 is read", "asr/sources/lines.py",
     'elif found != (encoding or "utf-8"):', "elif False:", "tests/test_metadata.py"),
    ("another usual name comes before the first", "asr/sources/columns.py",
     "[name] if name else USUAL[key]", "[name] if name else USUAL[key][::-1]", "tests/test_metadata.py"),
    ("a segment begins where what is held begins", "asr/sources/segments.py",
     "self._held[start - self._at : stop - self._at]", "self._held[: stop - start]",
     "tests/test_segments.py"),
    ("half a segment passes for all of it", "asr/sources/segments.py",
     "min(SLACK_S, length_s / 2)", "length_s", "tests/test_segments.py"),
    ("words and their sounds are both trained on", "asr/sources/tiers.py",
     "shared_s > SAME_SPEECH * least_s", "shared_s < 0", "tests/test_source_annotations.py"),
    ("translations are trained on", "asr/sources/tiers.py",
     "not tier.has_parent and ", "", "tests/test_source_annotations.py"),
    ("ELAN's offset of a recording is ignored", "asr/sources/annotations.py",
     'f"{start_s + origin_s:.6f}"', 'f"{start_s:.6f}"', "tests/test_source_annotations.py"),
    ("a recording is read from each of its annotation files", "asr/sources/annotations.py",
     "if recording in read:", "if False:", "tests/test_source_annotations.py"),
    ("annotations that ELAN has not aligned all have the same time", "asr/sources/elan.py",
     "start_s + number * step_s", "start_s", "tests/test_source_annotations.py"),
    ("a decoder that dies takes the other segments with it", "asr/runtime/workers.py",
     "rows = rows[done:]", "rows = []", "tests/test_segments.py"),
    ("durations are those before resampling", "stages/featurize.py",
     "len(samples) / SAMPLE_RATE", "len(samples) / rate",
     "tests/test_bad_clips.py"),
    ("SpecAugment masks in the padding", "asr/training/batches.py",
     "< lengths)", "< lengths.clamp(min=frames))", "tests/test_batches.py"),
    ("a clip at its own length ends without the silence that tells so", "asr/audio/log_mel.py",
     "-(-(n_frames + MARGIN) // STEP)", "-(-n_frames // STEP)", "tests/test_audio.py"),
    ("joined clips have the sentence of the last one", "asr/training/batches.py",
     "sentence = f\"{last['sentence']} {example['sentence']}\"", "sentence = example['sentence']",
     "tests/test_batches.py"),
    ("joined clips have more labels than the decoder has positions", "asr/training/batches.py",
     " and n_ids <= self.config.max_target_positions", "", "tests/test_batches.py"),
    ("one clip decides how a model hears", "asr/scoring/choice.py",
     "fewer.sum() > np.linalg.norm(fewer)", "fewer.sum() > 0", "tests/test_hearing.py"),
    ("a text that has ended passes for a loop", "asr/model/loops.py",
     "ended & (input_ids[:, -1] != self.eos_token_id)", "ended", "tests/test_search.py"),
    ("a text has as many ids as the decoder has positions", "asr/model/loops.py",
     "ended = n_ids >= self.limits", "ended = n_ids >= 448", "tests/test_search.py"),
    ("a clip that is padded may have a longer text", "asr/decoding.py",
     "lengths[piece.clip] // piece.count for", "piece.frames for", "tests/test_search.py"),
    ("a text that goes on alone is barred again from what no text begins with", "asr/model/search.py",
     "settings.begin_suppress_tokens = []", "pass", "tests/test_search.py"),
    ("a text goes on with another clip's sound", "asr/model/search.py",
     "[states[row] for row in rows]", "states[: len(rows)]", "tests/test_search.py"),
    ("a search is left with texts that go on", "asr/model/search.py",
     "go_on = ~(ends.ended | is_last)", "go_on = ~(ends.ended | True)", "tests/test_search.py"),
    ("validation waits for loops", "asr/training/trainer.py",
     "StoppingCriteriaList([loops])", "StoppingCriteriaList([])", "tests/test_validation.py"),
    ("a loop that was ended early passes for a text", "asr/decoding.py",
     "looped or not ended", "not ended", "tests/test_search.py"),
    ("what a context leaves over is lost", "asr/language_model/ngrams.py",
     "p * left[number]", "p", "tests/test_language_model.py"),
    ("a sentence of test within a line of text is counted", "asr/language_model/text.py",
     "range(len(words) - LONG + 1)", "range(0)", "tests/test_language_model.py"),
    ("a language model that is no better is taken", "asr/language_model/fitting.py",
     'weight = best if found["chosen"] == "with" else 0.0', "weight = best",
     "tests/test_language_model.py"),
    ("a soup is no mean", "asr/training/soup.py",
     "lerp_(weight, 1 / self.trainings)", "add_(weight)", "tests/test_soup.py"),
    ("the standard error of validation is not allowed for", "asr/training/trainer.py",
     'lowest.get("eval_standard_error", 0.0)', "0.0", "tests/test_validation.py"),
    ("a standard error is that of an utterance", "asr/scoring/rates.py",
     "np.square(residuals).sum())", "np.square(residuals).mean())", "tests/test_error_rates.py"),
    ("the worst training passes for the best", "asr/training/soup.py",
     "< self.lowest", "> -self.lowest", "tests/test_soup.py"),
    ("a text hears another clip of its length", "asr/model/own_length.py",
     "by_head(of_group.reshape(", "by_head(of_group.flip(0).reshape(", "tests/test_own_length.py"),
    ("labels are smoothed where the language is known", "asr/training/smoothing.py",
     "FACTOR if rates[\"cer\"] >= UNKNOWN else 0.0", "0.0 if rates[\"cer\"] >= UNKNOWN else FACTOR",
     "tests/test_hearing.py"),
    ("what decides to smooth reaches no loss", "stages/train.py",
     'label_smoothing_factor=found["label_smoothing_factor"]', "label_smoothing_factor=0.0",
     "tests/test_stages.py"),
    ("a clip that loops at its own length stays a loop", "asr/decoding.py",
     "    if endless:", "    if False:", "tests/test_decoding.py"),
    ("padding of labels is trained on", "asr/training/batches.py",
     "padding_value=NO_LOSS", "padding_value=self.config.pad_token_id", "tests/test_batches.py"),
    ("the seed changes nothing about the order of an epoch", "asr/training/batches.py",
     "default_rng([self.seed, self.epoch])", "default_rng([self.epoch])", "tests/test_batches.py"),
    ("an epoch that several processes resume has the order of the first", "asr/training/trainer.py",
     "set_epoch(state.global_step // self.steps_per_epoch)", "set_epoch(0)", "tests/test_trainer.py"),
    ("accumulated passes weigh alike, however few labels they have", "asr/training/trainer.py",
     ".sum() if num_items_in_batch is None else num_items_in_batch)", ".sum())", "tests/test_trainer.py"),
    ("the worst checkpoint is kept", "asr/training/trainer.py",
     "lowest = min(", "lowest = max(", "tests/test_validation.py"),
    ("all processes draw the same dropout", "asr/training/arguments.py",
     "set_seed(params.seed + trainer.args.process_index)", "set_seed(params.seed)",
     "tests/test_trainer.py"),
    ("embeddings of new tokens stay untrained beside adapters", "asr/training/adaptation.py",
     '{"embed_tokens": new_ids} if new_ids else None', "None", "tests/test_adaptation.py"),
    ("a checkpoint is resumed with other code, data or parameters", "asr/training/checkpoints.py",
     "dependency.get_hash().value", "dependency.protocol", "tests/test_checkpoints.py"),
    ("a checkpoint is resumed with other versions of the software", "asr/training/checkpoints.py",
     "repr(sorted(also.items()))", "repr(sorted(also))", "tests/test_checkpoints.py"),
    ("the best checkpoint is removed with the old ones", "asr/training/checkpoints.py",
     "keep | {checkpoint, best_of(checkpoint) or checkpoint}", "keep | {checkpoint}",
     "tests/test_checkpoints.py"),
    ("a training that had ended gives its last model, not its best", "asr/training/resuming.py",
     "str(best_of(checkpoint))", "str(checkpoint)", "tests/test_resuming.py"),
    ("a recording with two texts is trained on with both", "asr/selection.py",
     'set(fitting)', "set()", "tests/test_selection.py"),
    ("test loses the clips whose text says more than they do", "asr/selection.py",
     '"too_fast", ~is_test & ', '"too_fast", ', "tests/test_selection.py"),
    ("a clip of just max_duration_s is kept", "asr/selection.py",
     "rows.duration_s >= max_duration_s", "rows.duration_s > max_duration_s", "tests/test_selection.py"),
    ("a sentence of test is trained on, with another comma", "asr/selection.py",
     "~is_test & rows.key.isin(set(test.key))", "~is_test & rows.sentence.isin(set(test.sentence))",
     "tests/test_selection.py"),
    ("a sentence of validation is trained on", "asr/selection.py",
     "~is_test & ~is_held_out & rows.key", "is_added & rows.key", "tests/test_selection.py"),
    ("validation takes more than its fraction", "asr/selection.py",
     "room -= sizes[name]", "room -= 1", "tests/test_selection.py"),
    ("tokens are learned from test sentences too", "stages/filter.py",
     'is_train = rows.role == "train"', 'is_train = rows.role != ""',
     "tests/test_filter_stage.py"),
    ("the model is saved without the beams that it was scored with", "stages/package.py",
     '"num_beams": params.transcribe.num_beams', '"num_beams": 1',
     "tests/test_transcribe.py"),
    ("vowel signs part words", "asr/scoring/text.py", r"\p{L}\p{M}\p{N}", r"\p{L}\p{N}",
     "tests/test_text.py"),
    ("hypotheses pass for references", "asr/scoring/hf_metric.py",
     "error_rates(references, predictions)", "error_rates(predictions, references)",
     "tests/test_error_rates.py"),
    ("clips of unknown speakers are drawn together", "asr/evaluation/bootstrap.py",
     'table.speaker.where(table.speaker != "", "clip " + table.id)', "table.speaker",
     "tests/test_bootstrap.py"),
    ("intervals are resampled by clip, not by speaker", "stages/evaluate.py",
     "table.groupby(units(table))", "table.groupby(table.id)", "tests/test_evaluate_stage.py"),
    ("the rarest confusions come first", "asr/evaluation/alignment.py",
     "ascending=[False, True, True]", "ascending=[True, True, True]", "tests/test_alignment.py"),
    ("a clip of just 2 s counts as shorter than 2 s", "asr/evaluation/breakdown.py",
     "np.digitize(np.asarray(values), edges)", "np.digitize(np.asarray(values), edges, right=True)",
     "tests/test_breakdown.py"),
    ("what is worse has the higher probability of being better", "asr/commands/compare/comparison.py",
     "(differences < 0).mean()", "(differences > 0).mean()", "tests/test_compare.py"),
    ("the chart of speakers has its axes swapped", "asr/evaluation/charts.py",
     "scatter(rows.wer_pretrained, rows.wer_finetuned,", "scatter(rows.wer_finetuned, rows.wer_pretrained,",
     "tests/test_charts.py"),
    ("a transcript can write HTML into the report", "asr/evaluation/report.py",
     "autoescape=True", "autoescape=False", "tests/test_report.py"),
    ("a long clip's pieces are joined in another order", "asr/decoding.py",
     "key=lambda found: found[:2]", "key=lambda found: found[0]",
     "tests/test_decoding.py"),
    ("the batch that takes most memory comes last", "asr/decoding.py",
     "-lengths[piece.clip] / piece.count", "lengths[piece.clip] / piece.count", "tests/test_decoding.py"),
    ("a clip's text depends on the clips beside it", "asr/decoding.py",
     "pad(piece, frames)", "pad(piece, batch[0].frames)",
     "tests/test_decoding.py"),
    ("a long clip is cut where it is loudest", "asr/decoding.py", ".argmin()", ".argmax()",
     "tests/test_decoding.py"),
    ("a piece is longer than the window, which loses its end", "asr/decoding.py",
     "(frames - 2 * _search(frames))", "frames", "tests/test_decoding.py"),
    ("a learned token takes an id that is never generated", "asr/model/vocabulary.py",
     " and vocabulary[token] not in taken", "", "tests/test_vocabulary.py"),
    ("weights come from outside of a checkpoint's folder", "asr/model/checks.py",
     " or Path(name).name != name", "", "tests/test_pretrained_stage.py"),
    ("a model is trained with another model's tokens", "asr/model/generation.py",
     "elif theirs not in (None, id, [id]):", "elif theirs is id:", "tests/test_checks.py"),
    ("a checkpoint's own beams and penalties decide its texts", "asr/model/generation.py",
     "(*AS_PUBLISHED, *WRITES, *keep) if", "said if", "tests/test_checks.py"),
    ("merges forget how often a word occurs", "asr/model/merges.py",
     "counts[other] += change * n", "counts[other] += change", "tests/test_vocabulary.py"),
    ("a shorter window has the last positions, not the first", "asr/model/whisper.py",
     "weight[: seconds * POSITIONS_PER_SECOND]", "weight[-seconds * POSITIONS_PER_SECOND :]",
     "tests/test_whisper.py"),
    ("the last rows of a table are not written", "asr/tables/shards.py",
     "    if batch:", "    if len(batch) == BATCH_ROWS:", "tests/test_shards.py"),
    ("a header can fill the memory", "asr/sources/containers.py",
     "HEADER_BYTES = 2**17", "HEADER_BYTES = 2**62", "tests/test_containers.py"),
    ("dev and test are swapped", "asr/sources/release.py",
     '"validation", "test.tsv": "test"', '"test", "test.tsv": "validation"',
     "tests/test_source_archive.py"),
    ("a table names any file of the machine", "asr/sources/files.py",
     "file = os.path.realpath(path)", "file = path", "tests/test_source_folder.py"),
    ("a recording that is missing is another one of its name", "asr/sources/files.py",
     'name[1:3] == ":/" else 1', 'name[1:3] == ":/" else 0', "tests/test_layouts.py"),
    ("of LJSpeech the digits are trained on, not the words", "asr/sources/columns.py",
     '"sentence": texts[-1]', '"sentence": texts[0]', "tests/test_layouts.py"),
    ("Kaldi's segments are whole recordings", "asr/sources/kaldi.py",
     '"start": start', '"start": ""', "tests/test_layouts.py"),
    ("dev rows of one's own table are tested on", "asr/sources/layouts.py",
     '"dev": "validation"', '"dev": "test"', "tests/test_source_folder.py"),
    ("a sentence of Common Voice that a line feed has broken is trained half", "asr/sources/metadata.py",
     "if len(waiting) == width:", "if len(waiting) == width or width:", "tests/test_metadata.py"),
    ("a download that ends early passes for whole", "asr/sources/mdc.py",
     "expected[name] and found[name] !=", "expected[name] and found[name] >", "tests/test_source_mdc.py"),
    ("a damaged archive of the right length is used", "asr/sources/mdc.py",
     "found[name] != expected[name]]", 'found["bytes"] != expected["bytes"]]',
     "tests/test_source_mdc.py"),
    ("a recording of test comes in again as validated", "asr/sources/hub.py",
     'if split != "validated":', 'if split == "train":', "tests/test_source_hub.py"),
    ("a sentence of the sample's test is trained on", "asr/sources/sample.py",
     "(phrase := _phrase(rng)) in test_sentences", "not (phrase := _phrase(rng))",
     "tests/test_source_sample.py"),
    ("two processes hold one lock", "asr/runtime/locks.py", "fcntl.LOCK_EX", "fcntl.LOCK_SH",
     "tests/test_locks.py"),
    ("a flipped bit in a checkpoint is not seen", "asr/runtime/manifest.py",
     'hexdigest() != expected["sha256"]', 'hexdigest() == ""', "tests/test_manifest.py"),
    ("the rest of a key is printed that another is a part of", "asr/runtime/secrets.py",
     "key=len, reverse=True", "key=len", "tests/test_secrets.py"),
    ("a misspelt parameter is ignored", "asr/params.py", 'extra="forbid"', 'extra="ignore"',
     "tests/test_params.py"),
    ("rows come out of order", "asr/runtime/workers.py",
     "waiting.append(", "waiting.appendleft(", "tests/test_workers.py"),
    ("a model that was scored with beams transcribes without", "asr/commands/transcribe/transcriber.py",
     "num_beams or settings.num_beams or 1", "num_beams or 1", "tests/test_demo.py"),
    ("subtitles are wrong after the first hour", "asr/commands/transcribe/subtitles.py",
     "divmod(minutes, 60)", "divmod(minutes, 100)", "tests/test_subtitles.py"),
    ("the last samples of a recording are not heard", "asr/commands/transcribe/recordings.py",
     "last=True", "last=False", "tests/test_recordings.py"),
    ("one recording's text replaces that of another", "asr/commands/transcribe/files.py",
     "if times > 1]", "if times > 2]", "tests/test_transcribe_files.py"),
    ("an export that hears worse is kept", "asr/commands/export/conversion.py",
     "after.wer - before.wer > MAX_WORSE", "before.wer - after.wer > MAX_WORSE", "tests/test_export.py"),
    ("a card shows a path of the machine", "asr/provenance.py",
     "Path(name).name if of_a_folder else name", "name", "tests/test_provenance.py"),
    ("a card has another model's figures", "asr/commands/card/record.py",
     '"package": [MODEL]', '"package": []', "tests/test_record.py"),
    ("a private model is published for everyone", "asr/commands/publish/hub.py",
     "private=not upload.public", "private=upload.public", "tests/test_publish.py"),
    ("a small corpus is trained on for as long as a large one", "asr/commands/new_language/proposal.py",
     'steps >= train["max_steps"]', "True", "tests/test_new_language.py"),
    ("a recipe for Norwegian has `no`, which is false", "asr/commands/new_language/recipe.py",
     "value if plain else json.dumps", "value or json.dumps", "tests/test_recipe.py"),
    ("another site reads what the demo says, by a name of its own", "asr/commands/demo/server.py",
     '("127.0.0.1", "localhost")', "None", "tests/test_demo_server.py"),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORD", help="in the fault or in its file")
    only = parser.parse_args().only
    chosen = [mutation for mutation in MUTATIONS if only in mutation[0] or only in mutation[1]]
    for fault, file, old, *_ in chosen:
        times = (REPOSITORY / file).read_text(encoding="utf-8").count(old)
        if times != 1:
            sys.exit(f"{fault}: {file} has this {times} times, not once: {old}")
    # A cached module is told from its source by size and second.
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["OMP_NUM_THREADS"] = "1"
    for package in PACKAGES:
        importlib.import_module(package)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        copy_all(tree)
        print("| file | fault | tests | caught by | s |\n|---|---|---|---|---|", flush=True)
        caught_by = []
        for fault, file, old, new, tests in chosen:
            text = (tree / file).read_text(encoding="utf-8")
            (tree / file).write_text(text.replace(old, new), encoding="utf-8")
            started = time.monotonic()
            failed = first_failure(tree, tests.split())
            seconds = time.monotonic() - started
            (tree / file).write_text(text, encoding="utf-8")
            caught_by += [failed] if failed else []
            cells = file, fault, tests, failed or "**nothing**", f"{seconds:.0f}"
            print("|", " | ".join(cells).replace("tests/", ""), "|", flush=True)
        again = sorted(set(caught_by) - {HANGS})
        failed = first_failure(tree, again) if again else None
        if failed:
            sys.exit(f"{failed} fails without a fault too, so what it caught does not count")
    if len(caught_by) < len(chosen):
        sys.exit(f"{len(chosen) - len(caught_by)} of {len(chosen)} not caught")


def first_failure(tree: Path, tests: list[str]) -> str | None:
    """Run tests until one fails; returns its name, HANGS, or None if all pass."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(tree, tests))
    process.start()
    try:
        process.join(LIMIT_S)
        if process.exitcode is None:
            return HANGS
    finally:
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
    output = tree.with_name("output").read_text(encoding="utf-8")
    if process.exitcode not in (0, 1):
        sys.exit(f"pytest ended with exit code {process.exitcode}:\n{output}")
    return FAILED.search(output)[1] if process.exitcode else None


def run(tree: Path, tests: list[str]) -> None:
    """Run tests in a process of its own, which has the packages, but none of our modules."""
    os.setpgid(0, 0)
    os.chdir(tree)
    for name in [name for name in sys.modules if name.split(".")[0] in ("asr", "stages", "tests")]:
        del sys.modules[name]
    with tree.with_name("output").open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--basetemp=../pytest", *tests]))


if __name__ == "__main__":
    main()
