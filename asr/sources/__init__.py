"""Where a corpus comes from: a module per source, each with a function `clips` that yields `Clip`s.

`clips` takes a corpus of params.yaml and checks what it can before it reads. Its errors say what to do, and
name keys of that corpus. The order is the same on every run.
"""
