"""What every command shares: exit codes, recipes by name, the check of a machine."""
