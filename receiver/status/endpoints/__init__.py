"""What answers the addresses below `/status`: a module for each tab."""
