"""N-grams of text, and their place in the search for what was said."""

FILE = "language_model.npz"  # in a model's folder
