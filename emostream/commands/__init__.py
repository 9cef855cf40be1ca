"""One file for each subcommand; imported only when it is called."""
