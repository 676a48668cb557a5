"""The notebook's way beside ours, in turns: the same corpus, checkpoint and machine (docs/benchmarks.md)."""
