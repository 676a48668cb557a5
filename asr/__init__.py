"""What the stages share: a module per concern, none of which runs anything at import."""
