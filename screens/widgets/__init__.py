"""Widgets that send a terminal little."""
