"""The subcommands of `enginehouse`, one a file. None imports Ray before it runs."""
