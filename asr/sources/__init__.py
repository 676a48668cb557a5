"""Where a corpus comes from: a module per source, each with a function `clips` that yields `Clip`s.

`clips` checks what it can before it reads, and its errors say how to go on. The order is the same on
every run. With `validated`, what the corpus has beyond its three splits comes too, under that split.
"""
