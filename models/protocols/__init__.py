"""Protocols: doses and other changes, with their times, and the text form of a protocol."""
