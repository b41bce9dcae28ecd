"""What the commands share: flags, errors and exit codes."""
