"""Judges what was read: facts in, results out, each with its cause and remedy."""
