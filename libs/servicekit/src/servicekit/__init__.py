"""What every Assent service stands on."""
