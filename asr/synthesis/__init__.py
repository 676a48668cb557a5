"""Synthetic Dhivehi, for the embedded recipe: phrases, a reading of Thaana, voices, eSpeak NG."""
