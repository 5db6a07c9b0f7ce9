"""The submission tree: built, checked against the round's rules, described."""
