"""The command line: one file a group of commands; results on stdout, chatter on stderr."""
