"""Runtime that every layer above needs of the machine: a Ray session, progress, local folders."""
