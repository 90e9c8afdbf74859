"""The forms of answers beside their raw lines: text, thoughts, JSON, media and tables."""
