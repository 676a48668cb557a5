"""Where a corpus comes from: a module per source, each with a function `clips` that yields `Clip`s.

`clips` checks what it can before it reads, and its errors say what to do. The order is the same on every
run. With `validated`, the clips beyond the three splits come too, in a split of that name.
"""
