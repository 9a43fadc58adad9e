"""What a session event may hold, who may have it stored, and which signals a basis shows: rules without I/O."""
