"""Rules and values of the profile: what is folded, what is read from it, and who is whom. No I/O."""
