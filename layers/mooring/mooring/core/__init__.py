"""Nouns and rules of Mooring: standard library only, no clock, no input or output, no logger."""
