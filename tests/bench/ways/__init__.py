"""What is measured beside us, each a program of its own that prints what it counted as JSON."""
