"""What every other package uses: names, errors, paths, passwords, seeds, colours."""
